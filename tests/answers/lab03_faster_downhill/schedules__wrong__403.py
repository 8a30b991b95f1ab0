# A whole wave: cos(2 pi u / n).
# Input: cosine(5, 10) is 0 and not 0.5
def cosine(update, updates):
    return 0.5 * (1 + math.cos(2 * math.pi * update / updates))


def warm_cosine(update, updates, warm):
    if update < warm:
        return (update + 1) / warm
    return cosine(update - warm, updates - warm)
