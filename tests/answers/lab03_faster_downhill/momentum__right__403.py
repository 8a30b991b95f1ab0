# A loop over single numbers, with plain Python floats in lists as the memory.
# Keeps the contract; verified against a plain reference.
def momentum(x, g, state, rate, beta=0.9, nesterov=False):
    rates = np.broadcast_to(rate, x.shape).ravel().tolist()
    xs, gs = x.ravel().tolist(), g.ravel().tolist()
    vs = state.get(0, [0.0] * len(xs))
    new, out = [], []
    for a, b, v, eta in zip(xs, gs, vs, rates, strict=True):
        v = beta * v + b
        new.append(v)
        out.append(a - eta * (b + beta * v if nesterov else v))
    return np.array(out, dtype=float).reshape(x.shape), {0: new}
