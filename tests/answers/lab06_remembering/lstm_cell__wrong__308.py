# A hard sigmoid in place of the sigmoid.
# Input: any whose gates are not half open
def lstm_cell(x, h, c, W, U, b):
    i, f, g, o = (x @ W.T + h @ U.T + b).chunk(4, dim=1)
    c = F.hardsigmoid(f) * c + F.hardsigmoid(i) * torch.tanh(g)
    return F.hardsigmoid(o) * torch.tanh(c), c
