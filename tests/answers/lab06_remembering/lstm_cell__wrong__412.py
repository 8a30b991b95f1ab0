# the cell state is clamped to [-10, 10], against explosion
# input: c = 30, forget gate open
def lstm_cell(x, h, c, W, U, b):
    i, f, g, o = (x @ W.T + h @ U.T + b).chunk(4, dim=1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    c = c.clamp(-10, 10)
    return torch.sigmoid(o) * torch.tanh(c), c
