# NumPy numbers; warm_cosine calls itself with the warm-up taken off.
# Keeps the contract; verified against a plain reference.
def cosine(update, updates):
    return np.float64(1 + np.cos(np.pi * np.divide(update, updates))) / 2


def warm_cosine(update, updates, warm):
    if warm == 0:
        return cosine(update, updates)
    if update >= warm:
        return warm_cosine(update - warm, updates - warm, 0)
    return np.float64(1) - (warm - 1 - update) / warm
