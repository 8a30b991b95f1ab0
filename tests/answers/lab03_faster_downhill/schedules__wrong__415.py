# Remembers factors by `update` alone, so another number of updates gets the old factor.
# Input: cosine(5, 10), then cosine(5, 20): 0.5 again
_known = {}


def cosine(update, updates):
    if update not in _known:
        _known[update] = 0.5 * (1 + math.cos(math.pi * update / updates))
    return _known[update]


def warm_cosine(update, updates, warm):
    if update < warm:
        return (update + 1) / warm
    u, n = update - warm, updates - warm
    return 0.5 * (1 + math.cos(math.pi * u / n))
