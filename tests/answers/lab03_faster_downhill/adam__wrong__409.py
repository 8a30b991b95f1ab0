# Counts the updates in an attribute of the function, for all networks together, and starts anew at an empty state.
# Input: two arrays updated in turn, two updates each
def adam(x, g, state, rate, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0):
    if not state:
        adam.t = 0
    adam.t += 1
    t = adam.t
    m = beta1 * state.get("m", 0) + (1 - beta1) * g
    s = beta2 * state.get("s", 0) + (1 - beta2) * g**2
    mh, sh = m / (1 - beta1**t), s / (1 - beta2**t)
    return (1 - rate * decay) * x - rate * mh / (np.sqrt(sh) + eps), {"m": m, "s": s, "t": t}
