# One minus the square of a sine; warm_cosine does not use cosine.
# Keeps the contract; verified against a plain reference.
def cosine(update, updates):
    return 1 - math.sin(0.5 * math.pi * update / updates) ** 2


def warm_cosine(update, updates, warm):
    rest = update - warm
    if rest < 0:
        return 1 + (rest + 1) / warm
    return float((torch.cos(torch.tensor(math.pi * rest / (updates - warm), dtype=torch.float64)) + 1) / 2)
