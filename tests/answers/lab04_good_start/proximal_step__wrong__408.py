# The max with 0 is missing, so small weights change their sign.
# input: weights 0.1, gradient 0, rate 0.1, penalty 2: -0.1
def proximal_step(weights, gradient, rate, penalty):
    z = weights - rate * gradient
    return torch.sign(z) * (z.abs() - rate * penalty)
