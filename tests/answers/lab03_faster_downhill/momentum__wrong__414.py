# Remembers the rate of the first update and keeps it.
# Input: rate 0.1 in the first update and 0.2 in the second
def momentum(x, g, state, rate, beta=0.9, nesterov=False):
    eta = state.get("rate", rate)
    v = beta * state.get("v", 0) + g
    return x - eta * (g + beta * v if nesterov else v), {"v": v, "rate": eta}
