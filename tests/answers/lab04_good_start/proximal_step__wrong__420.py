# Rows of a matrix are cut to the mean threshold: the amount is divided by the number of weights.
# input: weights (0.5, -0.2), gradient (1, -1), rate 0.1, penalty 2
def proximal_step(weights, gradient, rate, penalty):
    z = weights - rate * gradient
    return torch.sign(z) * torch.clamp(z.abs() - rate * penalty / max(1, weights.numel()), min=0)
