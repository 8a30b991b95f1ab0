# Thresholds off by one (0 .. n-1): the first hidden unit always fires, so the network answers 'even'.
def xor_network(n):
    W = np.ones((n, n))
    t = np.arange(n)
    v = np.array([(-1) ** k for k in range(n)])
    return W, t, v, 1
