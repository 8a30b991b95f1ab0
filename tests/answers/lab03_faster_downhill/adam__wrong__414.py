# The largest mean square so far stands below the line (AMSGrad).
# Input: g = 10, then g = 0.1 with beta2=0.5
def adam(x, g, state, rate, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0):
    t = state.get("t", 0) + 1
    m = beta1 * state.get("m", 0) + (1 - beta1) * g
    s = beta2 * state.get("s", 0) + (1 - beta2) * g**2
    mh, sh = m / (1 - beta1**t), s / (1 - beta2**t)
    top = np.maximum(state.get("top", 0), sh)
    return (1 - rate * decay) * x - rate * mh / (np.sqrt(top) + eps), {"m": m, "s": s, "t": t, "top": top}
