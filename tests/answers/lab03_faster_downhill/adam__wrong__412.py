# The decay changes the caller's x in place.
# Input: decay=0.5: the caller's x is smaller after the call
def adam(x, g, state, rate, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0):
    t = state.get("t", 0) + 1
    m = beta1 * state.get("m", 0) + (1 - beta1) * g
    s = beta2 * state.get("s", 0) + (1 - beta2) * g**2
    mh, sh = m / (1 - beta1**t), s / (1 - beta2**t)
    x *= 1 - rate * decay
    return x - rate * mh / (np.sqrt(sh) + eps), {"m": m, "s": s, "t": t}
