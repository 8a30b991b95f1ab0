# Shrinks by a share of z, as if the penalty were L2 with a floor.
# input: weights 0.5, gradient 1, rate 0.1, penalty 2: 0.32
def proximal_step(weights, gradient, rate, penalty):
    z = weights - rate * gradient
    return z * max(0.0, 1 - rate * penalty)
