# Gate by gate, example by example.
def lstm_cell(x, h, c, W, U, b):
    d = c.shape[1]
    new_h, new_c = [], []
    for x1, h1, c1 in zip(x, h, c):
        i, f, g, o = (W[k * d : k * d + d] @ x1 + U[k * d : k * d + d] @ h1 + b[k * d : k * d + d] for k in range(4))
        cell = torch.addcmul(f.sigmoid() * c1, i.sigmoid(), g.tanh())
        new_c.append(cell)
        new_h.append(o.sigmoid() * cell.tanh())
    return torch.stack(new_h), torch.stack(new_c)
