# Nesterov by (1 + beta) * v_new - beta * v_old, which is the same as g + beta * v_new.
# Keeps the contract; verified against a plain reference.
def momentum(x, g, state, rate, beta=0.9, nesterov=False):
    old = state.get("old", np.zeros(np.shape(g)))
    new = beta * old + g
    step = (1 + beta) * new - beta * old if nesterov else new
    return x - rate * step, {"old": new}
