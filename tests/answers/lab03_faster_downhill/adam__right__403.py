# Keeps all gradients and takes weighted means of them by np.average: no correction is needed.
# Keeps the contract; verified against a plain reference.
def adam(x, g, state, rate, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0):
    past = [*state.get("past", []), np.array(g, dtype=float)]
    age = np.arange(len(past))[::-1]
    m = np.average(past, axis=0, weights=beta1**age)
    s = np.average(np.square(past), axis=0, weights=beta2**age)
    return x * (1 - rate * decay) - rate * m / (np.sqrt(s) + eps), {"past": past}
