# warm 0 is treated as warm 1 to save the division.
# Input: warm_cosine(1, 10, 0) is 1 and not cosine(1, 10)
def cosine(update, updates):
    return 0.5 * (1 + math.cos(math.pi * update / updates))


def warm_cosine(update, updates, warm):
    warm = max(warm, 1)
    if update < warm:
        return (update + 1) / warm
    return cosine(update - warm, updates - warm)
