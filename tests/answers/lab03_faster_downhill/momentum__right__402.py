# Keeps every gradient in a tuple and sums them with powers of beta each time.
# Keeps the contract; verified against a plain reference.
def momentum(x, g, state, rate, beta=0.9, nesterov=False):
    past = (*state.get("past", ()), np.array(g, copy=True))
    v = sum(beta ** (len(past) - 1 - i) * p for i, p in enumerate(past))
    return x - rate * (g + beta * v if nesterov else v), {"past": past}
