# Threshold is lambda, the rate is forgotten.
# input: weights 0.5, gradient 1, rate 0.1, penalty 0.2
def proximal_step(weights, gradient, rate, penalty):
    z = weights - rate * gradient
    return torch.sign(z) * torch.clamp(z.abs() - penalty, min=0)
