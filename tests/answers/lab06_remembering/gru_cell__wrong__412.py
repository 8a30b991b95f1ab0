# own tanh by exponentials, NaN for large sums in float32
# input: b_n = 100, float32, all else as in the docstring
def gru_cell(x, h, W, U, b, k):
    rx, zx, nx = (x @ W.T + b).chunk(3, dim=1)
    rh, zh, nh = (h @ U.T + k).chunk(3, dim=1)
    r, z = torch.sigmoid(rx + rh), torch.sigmoid(zx + zh)
    n = (torch.exp(2 * (nx + r * nh)) - 1) / (torch.exp(2 * (nx + r * nh)) + 1)
    return (1 - z) * n + z * h
