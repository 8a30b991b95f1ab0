# The first cosine update after the warm-up counts as 1, so that 1 does not come twice.
# Input: warm_cosine(4, 14, 4) is below 1
def cosine(update, updates):
    return 0.5 * (1 + math.cos(math.pi * update / updates))


def warm_cosine(update, updates, warm):
    if update < warm:
        return (update + 1) / warm
    return cosine(update - warm + 1, updates - warm)
