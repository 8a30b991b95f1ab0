# No correction of the means that begin at 0.
# Input: the docstring's example
def adam(x, g, state, rate, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0):
    t = state.get("t", 0) + 1
    m = beta1 * state.get("m", 0) + (1 - beta1) * g
    s = beta2 * state.get("s", 0) + (1 - beta2) * g**2
    mh, sh = m, s
    return (1 - rate * decay) * x - rate * mh / (np.sqrt(sh) + eps), {"m": m, "s": s, "t": t}
