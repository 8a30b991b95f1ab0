# rows taken in the order i, f, o, g
# input: x, h, c, W, U, b random, d 2
def lstm_cell(x, h, c, W, U, b):
    i, f, o, g = (x @ W.T + h @ U.T + b).chunk(4, dim=1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c
