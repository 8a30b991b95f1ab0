# Loops over the rows with one rate each: an array of rates of a matrix is read in its first column.
# Input: x and rate of shape (2, 3), with rates that differ within a row
def momentum(x, g, state, rate, beta=0.9, nesterov=False):
    v = beta * state.get("v", np.zeros_like(g)) + g
    step = g + beta * v if nesterov else v
    eta = np.asarray(rate)
    eta = eta[:, :1] if eta.ndim == 2 else eta
    return x - eta * step, {"v": v}
