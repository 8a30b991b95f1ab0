# A straight line down in place of the half wave: right at both ends and in the middle.
# Input: cosine(2, 8) is 0.75 and not 0.854
def cosine(update, updates):
    return 1 - update / updates


def warm_cosine(update, updates, warm):
    if update < warm:
        return (update + 1) / warm
    return cosine(update - warm, updates - warm)
