# A running mean (1 - beta) * g in place of the sum.
# Input: the docstring's example
def momentum(x, g, state, rate, beta=0.9, nesterov=False):
    v = beta * state.get("v", 0) + (1 - beta) * g
    step = g + beta * v if nesterov else v
    return x - rate * step, {"v": v}
