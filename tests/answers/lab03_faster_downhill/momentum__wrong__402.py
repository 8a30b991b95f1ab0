# Nesterov uses the OLD velocity, g + beta * v_old, which is plain momentum.
# Input: nesterov=True, first update, g = 1: step is 1 and not 1.9
def momentum(x, g, state, rate, beta=0.9, nesterov=False):
    old = state.get("v", np.zeros_like(x))
    v = beta * old + g
    step = g + beta * old if nesterov else v
    return x - rate * step, {"v": v}
