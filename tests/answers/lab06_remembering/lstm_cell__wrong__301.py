# The gates see the old cell, too.
# Input: any c that is not 0
def lstm_cell(x, h, c, W, U, b):
    i, f, g, o = (x @ W.T + h @ U.T + b).chunk(4, dim=1)
    c = torch.sigmoid(f+c) * c + torch.sigmoid(i+c) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c
