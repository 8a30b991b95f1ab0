# Takes XOR of n inputs to mean that exactly one input is 1 (at least one and not at least two).
def xor_network(n):
    W = np.ones((n, n))
    t = np.arange(1, n + 1)
    v = np.zeros(n)
    v[0] = 1
    if n > 1:
        v[1] = -1
    return W, t, v, 1
