# The half wave ends at the last update: it is divided by updates - 1.
# Input: cosine(5, 10) is not 0.5
def cosine(update, updates):
    return 0.5 * (1 + math.cos(math.pi * update / (updates - 1)))


def warm_cosine(update, updates, warm):
    if update < warm:
        return (update + 1) / warm
    return cosine(update - warm, updates - warm)
