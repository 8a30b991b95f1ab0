# The hidden units compare only the first k inputs (lower triangle), so that (0, 1) gives a wrong output.
def xor_network(n):
    W = np.tril(np.ones((n, n)))
    t = np.arange(1, n + 1)
    v = (-1.0) ** np.arange(n)
    return W, t, v, 1
