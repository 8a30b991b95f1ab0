# The square of a cosine of half the angle.
# Keeps the contract; verified against a plain reference.
def cosine(update, updates):
    return math.cos(math.pi * update / (2 * updates)) ** 2


def warm_cosine(update, updates, warm):
    if update < warm:
        return (update + 1) / warm
    return cosine(update - warm, updates - warm)
