# The first velocity IS the gradient array, and the second call scales it in place, so the caller's g changes.
# Input: two updates; look at the first g after the second
def momentum(x, g, state, rate, beta=0.9, nesterov=False):
    if "v" not in state:
        v = g
    else:
        v = state["v"]
        v *= beta
        v += g
    step = g + beta * v if nesterov else v
    return x - rate * step, {"v": v}
