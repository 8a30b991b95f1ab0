# Believes that hidden unit k fires for exactly k ones; the units stay on for more, so nothing turns the output off.
def xor_network(n):
    W = np.ones((n, n), dtype=int)
    t = np.array([k for k in range(1, n + 1)])
    v = np.array([1 if k % 2 == 1 else 0 for k in range(1, n + 1)])
    s = 1
    return W, t, v, s
