# Unusual: hidden unit k fires when AT MOST k inputs are 1 (all weights negative), the output threshold depends on n and is a 0-d array; the rest are nested lists.
def xor_network(n):
    W = [[-1.0 for _ in range(n)] for _ in range(n)]
    t = [-k - 0.25 for k in range(n)]
    v = [1 if k % 2 else -1 for k in range(n)]
    s = np.array(0.5 - n % 2)
    return W, t, v, s
