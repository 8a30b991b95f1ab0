# Epsilon is added before the correction: sqrt(1 - beta2**t) scales it, too.
# Input: eps=0.1, one update with g = 1
def adam(x, g, state, rate, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0):
    t = state.get("t", 0) + 1
    m = beta1 * state.get("m", 0) + (1 - beta1) * g
    s = beta2 * state.get("s", 0) + (1 - beta2) * g**2
    mh = m / (1 - beta1**t)
    step = mh * math.sqrt(1 - beta2**t) / (np.sqrt(s) + eps)
    return (1 - rate * decay) * x - rate * step, {"m": m, "s": s, "t": t}
