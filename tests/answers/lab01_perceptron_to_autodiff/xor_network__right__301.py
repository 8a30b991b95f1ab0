# Nested Python lists, hidden units in falling order with a scale of their own each, and output weights 1, -2, 3, -4 and so on.
def xor_network(n):
    counts = list(range(n, 0, -1))
    W = [[float(2 * k + 1)] * n for k in counts]
    t = [(k - 0.5) * (2 * k + 1) for k in counts]
    v = [k if k % 2 else -k for k in counts]
    return W, t, v, 0.5
