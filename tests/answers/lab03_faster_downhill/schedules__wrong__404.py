# Divides by warm also where warm is 0.
# Input: warm_cosine(3, 10, 0) raises ZeroDivisionError
def cosine(update, updates):
    return 0.5 * (1 + math.cos(math.pi * update / updates))


def warm_cosine(update, updates, warm):
    rise = (update + 1) / warm
    if update < warm:
        return rise
    return cosine(update - warm, updates - warm)
