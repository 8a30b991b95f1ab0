# The warm-up begins at 0: update / warm.
# Input: warm_cosine(0, 14, 4) is 0 and not 0.25
def cosine(update, updates):
    return 0.5 * (1 + math.cos(math.pi * update / updates))


def warm_cosine(update, updates, warm):
    if update < warm:
        return update / warm
    return cosine(update - warm, updates - warm)
