# every fourth row is taken for a gate (i, f, g, o of number 1, then of number 2 ...), right only for d = 1
# input: d 2, all random
def lstm_cell(x, h, c, W, U, b):
    i, f, g, o = (x @ W.T + h @ U.T + b).unflatten(1, (-1, 4)).unbind(2)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c
