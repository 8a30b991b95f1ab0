# Counts the calls in place of reading `update`.
# Input: warm_cosine(9, 14, 4) as the first call
_calls = {}


def cosine(update, updates):
    return 0.5 * (1 + math.cos(math.pi * update / updates))


def warm_cosine(update, updates, warm):
    u = _calls[updates, warm] = _calls.get((updates, warm), -1) + 1
    return (u + 1) / warm if u < warm else cosine(u - warm, updates - warm)
