# Returns the output weights before the hidden thresholds (wrong order), which is seen only from n = 2 on.
def xor_network(n):
    W = np.ones((n, n))
    thresholds = np.arange(1, n + 1)
    out = np.array([1 if k % 2 == 0 else -1 for k in range(n)])
    return W, out, thresholds, 1
