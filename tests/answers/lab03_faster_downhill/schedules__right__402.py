# The real part of a turning complex number; the warm-up as a lookup in a list that is built anew.
# Keeps the contract; verified against a plain reference.
def cosine(update, updates):
    import cmath

    return (1 + cmath.exp(1j * math.pi * update / updates)).real / 2


def warm_cosine(update, updates, warm):
    factors = [(i + 1) / warm for i in range(warm)]
    left = updates - warm
    factors += [cosine(i, left) for i in range(left + 1)]
    return factors[update]
