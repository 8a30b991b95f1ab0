# The cosine does not begin anew after the warm-up: it goes on at `update` of `updates`.
# Input: warm_cosine(4, 14, 4) is below 1
def cosine(update, updates):
    return 0.5 * (1 + math.cos(math.pi * update / updates))


def warm_cosine(update, updates, warm):
    if update < warm:
        return (update + 1) / warm
    return cosine(update, updates)
