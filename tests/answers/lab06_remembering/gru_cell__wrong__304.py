# The paper's: r before the matrix.
# Input: any d and r that is not 1
def gru_cell(x, h, W, U, b, k):
    d = h.shape[1]
    z = x @ W[: 2 * d].T + h @ U[: 2 * d].T + b[: 2 * d] + k[: 2 * d]
    r, z = torch.sigmoid(z).chunk(2, 1)
    n = torch.tanh(x @ W[2 * d :].T + (r * h) @ U[2 * d :].T + b[2 * d :] + k[2 * d :])
    return (1 - z) * n + z * h
