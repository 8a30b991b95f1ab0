# Inhibiting units: all hidden weights negative and of different sizes, in a reversed order, so that unit k fires when at most some number of inputs are 1; the output threshold may be 0 or less.
def xor_network(n):
    k = np.arange(n, 0, -1)  # this unit is silent as soon as k inputs are 1
    W = -np.outer(k + 1.0, np.ones(n))
    t = -(k + 1.0) * (k - 0.5)
    v = np.pi * np.where(k % 2 == 1, -1, 1)
    s = np.pi * (0.5 - n % 2)
    return W, t, v, s
