# Moves by the velocity before it was updated, so the first call does not move.
# Input: one update
def momentum(x, g, state, rate, beta=0.9, nesterov=False):
    old = state.get("v", np.zeros_like(x))
    v = beta * old + g
    return x - rate * (g + beta * v if nesterov else old), {"v": v}
