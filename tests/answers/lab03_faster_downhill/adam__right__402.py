# Moves the correction into the rate and into epsilon, as the paper's section 2 allows.
# Keeps the contract; verified against a plain reference.
def adam(x, g, state, rate, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0):
    t = state.get("t", 0) + 1
    m = beta1 * state.get("m", 0) + (1 - beta1) * g
    s = beta2 * state.get("s", 0) + (1 - beta2) * g**2

    c = np.sqrt(1 - beta2**t)
    shrunk = x - rate * decay * x
    return shrunk - (rate * c / (1 - beta1**t)) * m / (np.sqrt(s) + eps * c), {"m": m, "s": s, "t": t}
