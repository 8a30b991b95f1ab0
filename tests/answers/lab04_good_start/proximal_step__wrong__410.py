# L2's proximal step: divides by 1 + eta lambda, no zeros.
# input: weights 0.1, gradient 0, rate 0.1, penalty 2
def proximal_step(weights, gradient, rate, penalty):
    return (weights - rate * gradient) / (1 + rate * penalty)
