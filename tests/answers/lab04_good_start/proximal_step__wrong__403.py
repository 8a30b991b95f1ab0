# Shrinks before the gradient step in place of after it.
# input: weights 0.1, gradient 1, rate 0.1, penalty 2: -0.1 in place of 0
def proximal_step(weights, gradient, rate, penalty):
    z = torch.sign(weights) * torch.clamp(weights.abs() - rate * penalty, min=0)
    return z - rate * gradient
