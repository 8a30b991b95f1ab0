# Nesterov moves by beta * v alone; the gradient is forgotten.
# Input: nesterov=True, one update
def momentum(x, g, state, rate, beta=0.9, nesterov=False):
    v = beta * state.get("v", 0) + g
    return x - rate * (beta * v if nesterov else v), {"v": v}
