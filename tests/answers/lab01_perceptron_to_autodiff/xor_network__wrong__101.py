# XOR of many inputs misread as 'exactly one input is 1': right for n = 1 and 2, but three ones do not fire.
def xor_network(n):
    W = np.ones((n, n))
    t = np.arange(1, n + 1)
    v = np.array([1.0] + [-1.0] * (n - 1))
    return W, t, v, 1
