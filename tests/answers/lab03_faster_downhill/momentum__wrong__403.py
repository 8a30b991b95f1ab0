# The rate is multiplied into the velocity, as in many textbooks.
# Input: two updates whose rates differ (0.1, then 0.2)
def momentum(x, g, state, rate, beta=0.9, nesterov=False):
    v = beta * state.get("v", 0) + rate * g
    step = rate * g + beta * v if nesterov else v
    return x - step, {"v": v}
