# The output weights alternate backwards from +1 at the last unit, which is right for odd n only.
def xor_network(n):
    W = np.ones((n, n))
    t = np.arange(1, n + 1) - 0.5
    v = ((-1.0) ** np.arange(n))[::-1]
    return W, t, v, 0.5
