# beta is 0.9, whatever the caller says.
# Input: beta=0.5, two updates
def momentum(x, g, state, rate, beta=0.9, nesterov=False):
    v = 0.9 * state.get("v", 0) + g
    return x - rate * (g + 0.9 * v if nesterov else v), {"v": v}
