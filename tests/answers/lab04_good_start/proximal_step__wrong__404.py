# Sign of w, not of z.
# input: weights 0.1, gradient 10, rate 0.1, penalty 1: z = -0.9
def proximal_step(weights, gradient, rate, penalty):
    z = weights - rate * gradient
    return torch.sign(weights) * torch.clamp(z.abs() - rate * penalty, min=0)
