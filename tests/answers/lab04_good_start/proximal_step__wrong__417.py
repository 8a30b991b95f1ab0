# Multiplies the gradient in place with the rate.
# input: gradient 1, rate 0.1: the caller's gradient is 0.1 afterwards
def proximal_step(weights, gradient, rate, penalty):
    z = weights - gradient.mul_(rate)
    return torch.sign(z) * torch.clamp(z.abs() - rate * penalty, min=0)
