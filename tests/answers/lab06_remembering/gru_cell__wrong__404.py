# k_n stands outside of the product with r, so the two biases are just summed
# input: docstring: 0.982 in place of 0.881
def gru_cell(x, h, W, U, b, k):
    rx, zx, nx = (x @ W.T + b + k).chunk(3, dim=1)
    rh, zh, nh = (h @ U.T).chunk(3, dim=1)
    r, z = torch.sigmoid(rx + rh), torch.sigmoid(zx + zh)
    n = torch.tanh(nx + r * nh)
    return (1 - z) * n + z * h
