# Hidden units say 'at most k - 1' by negative weights, and the output threshold depends on n; all are plain lists and tuples.
def xor_network(n):
    W = [[-1] * n for _ in range(n)]
    t = tuple(-k + 0.5 for k in range(1, n + 1))
    suffix = [m % 2 - n % 2 for m in range(n + 1)]  # the sum for the output unit when m inputs are 1
    v = [suffix[k - 1] - suffix[k] for k in range(1, n + 1)]
    return W, t, v, 1 - n % 2
