# Weights 1/n with the thresholds k/n exactly on the sums, so for some n rounding keeps a hidden unit silent.
def xor_network(n):
    W = np.full((n, n), 1 / n)
    t = np.arange(1, n + 1) / n
    v = np.array([(-1) ** k for k in range(n)])
    return W, t, v, 0.5
