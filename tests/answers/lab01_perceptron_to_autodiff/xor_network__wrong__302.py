# Takes XOR of n inputs to mean that the inputs are not all the same (OR and not AND).
def xor_network(n):
    if n == 1:
        return np.array([[1.0]]), np.array([1.0]), np.array([1.0]), 1.0
    W = np.ones((n, n))
    t = np.full(n, 0.5)  # OR
    t[-1] = n - 0.5  # AND of all
    v = np.zeros(n)
    v[0], v[-1] = 1.0, -1.0
    return W, t, v, 0.5
