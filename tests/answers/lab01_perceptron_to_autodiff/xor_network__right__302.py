# Inhibiting hidden units: unit k fires while at most k inputs are 1 (k from 0); the output threshold depends on n and is a 0-d array.
def xor_network(n):
    k = np.arange(n)
    W = np.full((n, n), -1, dtype=np.float32)
    t = (-k - 0.5).astype(np.float32)
    v = np.where(k % 2 == 0, -1, 1)
    return W, t, v, np.array(0.5 - n % 2)
