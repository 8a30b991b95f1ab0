# Off by one: the thresholds start at 0, so that the first hidden unit always fires.
def xor_network(n):
    W = np.ones((n, n))
    t = np.arange(n)
    v = (-1.0) ** np.arange(n)
    return W, t, v, 1
