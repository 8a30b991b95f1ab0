# The hidden layer has an extra unit that always fires (for the bias): n + 1 hidden units instead of n.
def xor_network(n):
    W = np.vstack([np.zeros(n), np.ones((n, n))])
    t = np.arange(n + 1)
    v = np.concatenate([[-1.0], (-1.0) ** np.arange(n)])
    return W, t, v, 0
