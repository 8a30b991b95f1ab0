# U meets h without being transposed.
# Input: any d > 1
def lstm_cell(x, h, c, W, U, b):
    d=h.shape[1]
    i, f, g, o = [x @ W[k*d:(k+1)*d].T + h @ U[k*d:(k+1)*d] + b[k*d:(k+1)*d] for k in range(4)]
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c
