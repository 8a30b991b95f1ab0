# Hidden unit k looks at the first k inputs only (a triangular W), so the place of a one matters and not the number of ones.
def xor_network(n):
    W = np.tril(np.ones((n, n)))
    t = np.arange(1, n + 1)
    v = (-1.0) ** np.arange(n)
    return W, t, v, 1
