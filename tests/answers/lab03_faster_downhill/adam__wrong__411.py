# Leaves out the correction after 100 updates, because 'it no longer matters'.
# Input: 150 updates with the default beta2: 1 - 0.999**101 is 0.096
def adam(x, g, state, rate, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0):
    t = state.get("t", 0) + 1
    m = beta1 * state.get("m", 0) + (1 - beta1) * g
    s = beta2 * state.get("s", 0) + (1 - beta2) * g**2
    late = t > 100
    mh, sh = (m, s) if late else (m / (1 - beta1**t), s / (1 - beta2**t))
    return (1 - rate * decay) * x - rate * mh / (np.sqrt(sh) + eps), {"m": m, "s": s, "t": t}
