# Float32, hidden units in descending order, each row scaled differently, output weights of size 3 and a 0-d threshold.
def xor_network(n):
    k = np.arange(n, 0, -1).astype(np.float32)
    scale = k + np.float32(2)
    W = np.outer(scale, np.ones(n, dtype=np.float32))
    t = scale * (k - np.float32(0.25))
    v = np.where(k % 2 == 1, 3, -3).astype(np.float32)
    return W, t, v, np.array(1.25)
