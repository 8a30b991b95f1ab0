# Pi is 3.14.
# Input: cosine(10, 10) is 6e-7 and not 0; cosine(5, 10) is off by 4e-4
def cosine(update, updates):
    return 0.5 * (1 + math.cos(3.14 * update / updates))


def warm_cosine(update, updates, warm):
    if update < warm:
        return (update + 1) / warm
    return cosine(update - warm, updates - warm)
