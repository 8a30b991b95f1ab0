# The angle is rounded to whole degrees.
# Input: cosine(1, 1000) is 1 and not 0.9999975
def cosine(update, updates):
    return 0.5 * (1 + math.cos(math.radians(round(180 * update / updates))))


def warm_cosine(update, updates, warm):
    if update < warm:
        return (update + 1) / warm
    return cosine(update - warm, updates - warm)
