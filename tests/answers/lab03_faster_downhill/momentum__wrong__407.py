# Nesterov's look-ahead step is stored as the velocity.
# Input: nesterov=True, two updates
def momentum(x, g, state, rate, beta=0.9, nesterov=False):
    v = beta * state.get("v", 0) + g
    if nesterov:
        v = g + beta * v
    return x - rate * v, {"v": v}
