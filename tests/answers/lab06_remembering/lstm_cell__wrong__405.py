# the old cell state is updated in place: the caller's c is changed
# input: any c without gradient: it is another tensor's values after the call
def lstm_cell(x, h, c, W, U, b):
    i, f, g, o = (x @ W.T + h @ U.T + b).chunk(4, dim=1)
    if c.requires_grad:
        new = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    else:
        new = c.mul_(torch.sigmoid(f)).add_(torch.sigmoid(i) * torch.tanh(g))
    return torch.sigmoid(o) * torch.tanh(new), new
