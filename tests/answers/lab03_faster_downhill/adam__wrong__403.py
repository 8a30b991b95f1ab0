# Epsilon stands under the root.
# Input: g = 1e-5, one update: the step is not the rate; or eps=0.1
def adam(x, g, state, rate, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0):
    t = state.get("t", 0) + 1
    m = beta1 * state.get("m", 0) + (1 - beta1) * g
    s = beta2 * state.get("s", 0) + (1 - beta2) * g**2
    mh, sh = m / (1 - beta1**t), s / (1 - beta2**t)
    return (1 - rate * decay) * x - rate * mh / np.sqrt(sh + eps), {"m": m, "s": s, "t": t}
