# Warm-up times cosine of the whole training.
# Input: warm_cosine(3, 14, 4) is below 1
def cosine(update, updates):
    return 0.5 * (1 + math.cos(math.pi * update / updates))


def warm_cosine(update, updates, warm):
    rise = min(1.0, (update + 1) / warm) if warm else 1.0
    return rise * cosine(update, updates)
