# The edge belongs to the warm-up: update <= warm.
# Input: warm_cosine(4, 14, 4) is 1.25
def cosine(update, updates):
    return 0.5 * (1 + math.cos(math.pi * update / updates))


def warm_cosine(update, updates, warm):
    if update <= warm and warm > 0:
        return (update + 1) / warm
    return cosine(update - warm, updates - warm)
