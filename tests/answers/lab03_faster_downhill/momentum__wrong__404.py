# x is changed in place by x -= ...
# Input: any x: the caller's x differs after the call
def momentum(x, g, state, rate, beta=0.9, nesterov=False):
    v = beta * state.get("v", np.zeros_like(x)) + g
    x -= rate * (g + beta * v if nesterov else v)
    return x, {"v": v}
