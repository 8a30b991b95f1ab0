# h' = n + z (h - n) by torch.lerp, gates from one stacked matrix
def gru_cell(x, h, W, U, b, k):
    d = h.size(1)
    both = torch.cat([x, h], 1) @ torch.cat([W, U], 1)[: 2 * d].T + (b + k)[: 2 * d]
    r, z = both.sigmoid().split(d, 1)
    n = torch.addmm(b[2 * d :], x, W[2 * d :].T) + r * torch.addmm(k[2 * d :], h, U[2 * d :].T)
    return torch.lerp(n.tanh(), h, z)
