# the state of the first example stands for all in the last line
# input: n 2 or more, different states
def gru_cell(x, h, W, U, b, k):
    rx, zx, nx = (x @ W.T + b).chunk(3, dim=1)
    rh, zh, nh = (h @ U.T + k).chunk(3, dim=1)
    r, z = torch.sigmoid(rx + rh), torch.sigmoid(zx + zh)
    n = torch.tanh(nx + r * nh)
    return (1 - z) * n + z * h[0]
