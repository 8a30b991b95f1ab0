# Precedence: -1 ** k is -(1 ** k), so that all output weights are -1.
def xor_network(n):
    W = np.ones((n, n))
    t = np.arange(1, n + 1)
    v = np.array([-1 ** k for k in range(n)])
    return W, t, v, 1
