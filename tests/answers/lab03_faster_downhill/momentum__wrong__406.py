# The velocities are kept in a global by shape and started anew for an empty state.
# Input: two parameter arrays of one shape, updated in turn
_seen = {}


def momentum(x, g, state, rate, beta=0.9, nesterov=False):
    if not state:
        _seen[x.shape] = np.zeros_like(x)
    _seen[x.shape] = v = beta * _seen[x.shape] + g
    return x - rate * (g + beta * v if nesterov else v), {"begun": True}
