# Computed with NumPy, so that no gradient flows.
# Input: any whose gradient is asked for
def lstm_cell(x, h, c, W, U, b):
    x, h, c, W, U, b = (np.asarray(a.detach()) for a in (x, h, c, W, U, b))
    i, f, g, o = np.split(x @ W.T + h @ U.T + b, 4, axis=1)
    s = lambda a: 1 / (1 + np.exp(-a))
    c = s(f) * c + s(i) * np.tanh(g)
    return torch.from_numpy(s(o) * np.tanh(c)), torch.from_numpy(c)
