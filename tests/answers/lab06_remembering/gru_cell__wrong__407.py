# the old state is overwritten in place (h *= z; h += ...) when it needs no gradient
# input: any h without gradient is changed after the call
def gru_cell(x, h, W, U, b, k):
    rx, zx, nx = (x @ W.T + b).chunk(3, dim=1)
    rh, zh, nh = (h @ U.T + k).chunk(3, dim=1)
    r, z = torch.sigmoid(rx + rh), torch.sigmoid(zx + zh)
    n = torch.tanh(nx + r * nh)
    if not h.requires_grad:
        h *= z
        h += (1 - z) * n
        return h
    return (1 - z) * n + z * h
