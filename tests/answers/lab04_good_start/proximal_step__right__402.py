# z minus its projection on the interval [-t, t].
def proximal_step(weights, gradient, rate, penalty):
    z, t = weights - rate * gradient, rate * penalty
    return z - z.clamp(-t, t)
