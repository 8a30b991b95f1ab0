# Keeps the running products of the betas in place of the number of updates.
# Keeps the contract; verified against a plain reference.
def adam(x, g, state, rate, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0):
    m, s, p, q = state.get("all", (0.0 * g, 0.0 * g, 1.0, 1.0))
    p, q = p * beta1, q * beta2
    m = m + (1 - beta1) * (g - m)
    s = s + (1 - beta2) * (g * g - s)
    x = x - rate * (decay * x)
    return x - rate * (m / (1 - p)) / (np.sqrt(s / (1 - q)) + eps), {"all": (m, s, p, q)}
