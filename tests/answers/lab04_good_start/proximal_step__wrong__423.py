# Weights that are 0 already stay 0 for ever, whatever the gradient.
# input: weights 0, gradient 10, rate 0.1, penalty 1: -0.9
def proximal_step(weights, gradient, rate, penalty):
    z = weights - rate * gradient
    return (weights != 0) * torch.sign(z) * torch.clamp(z.abs() - rate * penalty, min=0)
