# rows taken in the order z, r, n
# input: all random
def gru_cell(x, h, W, U, b, k):
    zx, rx, nx = (x @ W.T + b).chunk(3, dim=1)
    zh, rh, nh = (h @ U.T + k).chunk(3, dim=1)
    r, z = torch.sigmoid(rx + rh), torch.sigmoid(zx + zh)
    n = torch.tanh(nx + r * nh)
    return (1 - z) * n + z * h
