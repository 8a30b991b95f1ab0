# Works on a flattened copy and forgets to give x its shape back.
# Input: x of shape (2, 3): the result has shape (6,)
def momentum(x, g, state, rate, beta=0.9, nesterov=False):
    a, b = np.ravel(x), np.ravel(g)
    v = beta * state.get("v", np.zeros(a.size)) + b
    step = b + beta * v if nesterov else v
    return a - np.broadcast_to(rate, x.shape).ravel() * step, {"v": v}
