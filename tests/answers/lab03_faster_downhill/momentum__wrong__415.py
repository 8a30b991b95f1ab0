# Nesterov looks ahead in the first update only.
# Input: nesterov=True, two updates
def momentum(x, g, state, rate, beta=0.9, nesterov=False):
    v = beta * state.get("v", 0) + g
    step = g + beta * v if nesterov and not state else v
    return x - rate * step, {"v": v}
