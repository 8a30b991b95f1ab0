# the paper's GRU: r is multiplied into h before the matrix
# input: all random, d 2
def gru_cell(x, h, W, U, b, k):
    d = h.shape[1]
    both = x @ W.T + b + k
    gates = torch.sigmoid(both[:, : 2 * d] + h @ U[: 2 * d].T)
    r, z = gates[:, :d], gates[:, d:]
    n = torch.tanh((x @ W.T + b)[:, 2 * d :] + (r * h) @ U[2 * d :].T + k[2 * d :])
    return (1 - z) * n + z * h
