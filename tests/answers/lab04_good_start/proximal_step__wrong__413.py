# The gradient is not multiplied with the rate.
# input: weights 0.5, gradient 1, rate 0.1, penalty 2
def proximal_step(weights, gradient, rate, penalty):
    z = weights - gradient
    return torch.sign(z) * torch.clamp(z.abs() - rate * penalty, min=0)
