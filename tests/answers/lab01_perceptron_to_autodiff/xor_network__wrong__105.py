# Shares instead of counts: the weights 1/n and thresholds k/n are equal only up to rounding, so for some n a sum falls just short of its threshold.
def xor_network(n):
    W = np.full((n, n), 1 / n)
    t = np.array([k / n for k in range(1, n + 1)])
    v = np.array([1.0 if k % 2 == 1 else -1.0 for k in range(1, n + 1)])
    return W, t, v, 0.5
