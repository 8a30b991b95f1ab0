# After the warm-up the half wave is as long as the whole training.
# Input: warm_cosine(9, 14, 4) is not 0.5
def cosine(update, updates):
    return 0.5 * (1 + math.cos(math.pi * update / updates))


def warm_cosine(update, updates, warm):
    if update < warm:
        return (update + 1) / warm
    return cosine(update - warm, updates)
