# Generalises the table as 'at least one and not all': right for n = 1 and 2, but two of three ones fire.
def xor_network(n):
    W = np.ones((n, n))
    t = np.arange(1, n + 1)
    v = np.zeros(n)
    v[0] = 1
    if n > 1:
        v[n - 1] = -1
    return W, t, v, 0.5
