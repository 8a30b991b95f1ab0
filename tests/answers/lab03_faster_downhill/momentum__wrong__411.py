# An array of rates is replaced by its mean.
# Input: rate = np.array([0.1, 0.2]) for x of two numbers
def momentum(x, g, state, rate, beta=0.9, nesterov=False):
    v = beta * state.get("v", 0) + g
    return x - float(np.mean(rate)) * (g + beta * v if nesterov else v), {"v": v}
