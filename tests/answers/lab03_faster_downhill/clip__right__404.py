# Joins all in one row, scales by the largest number before squaring, and splits again into the shapes.
# Keeps the contract; verified against a plain reference.
def clip(gradients, limit):
    flat = np.concatenate([np.ravel(g) for g in gradients])
    top = np.abs(flat).max()
    norm = float(top * np.sqrt(np.sum((flat / top) ** 2))) if top > 0 else 0.0
    flat = flat * np.where(norm > limit, limit / max(norm, 1e-300), 1.0)
    out, begin = [], 0
    for g in gradients:
        out.append(flat[begin : begin + g.size].reshape(g.shape))
        begin += g.size
    return out, norm
