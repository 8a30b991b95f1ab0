# z and 1 - z swapped: z is the share that is written anew, as in the paper
# input: all random
def gru_cell(x, h, W, U, b, k):
    rx, zx, nx = (x @ W.T + b).chunk(3, dim=1)
    rh, zh, nh = (h @ U.T + k).chunk(3, dim=1)
    r, z = torch.sigmoid(rx + rh), torch.sigmoid(zx + zh)
    n = torch.tanh(nx + r * nh)
    return z * n + (1 - z) * h
