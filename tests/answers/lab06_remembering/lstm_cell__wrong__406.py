# own sigmoid exp(z) / (1 + exp(z)): NaN for a gate of more than 88 in float32
# input: b = 100 everywhere, all else as in the docstring
def lstm_cell(x, h, c, W, U, b):
    def sigmoid(z):
        return torch.exp(z) / (1 + torch.exp(z))

    i, f, g, o = (x @ W.T + h @ U.T + b).chunk(4, dim=1)
    c = sigmoid(f) * c + sigmoid(i) * torch.tanh(g)
    return sigmoid(o) * torch.tanh(c), c
