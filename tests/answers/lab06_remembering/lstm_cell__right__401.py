# one loop over examples and numbers, dot products one by one, stacked at the end
def lstm_cell(x, h, c, W, U, b):
    n, d = h.shape
    shown, kept = [], []
    for row in range(n):
        for j in range(d):
            z = [W[q * d + j].dot(x[row]) + U[q * d + j].dot(h[row]) + b[q * d + j] for q in range(4)]
            cell = z[1].sigmoid() * c[row, j] + z[0].sigmoid() * z[2].tanh()
            kept.append(cell)
            shown.append(z[3].sigmoid() * cell.tanh())
    return torch.stack(shown).reshape(n, d), torch.stack(kept).reshape(n, d)
