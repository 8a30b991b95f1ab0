# Hard threshold: large weights keep all of their size.
# input: weights 0.5, gradient 1, rate 0.1, penalty 2: 0.4 in place of 0.2
def proximal_step(weights, gradient, rate, penalty):
    z = weights - rate * gradient
    return torch.where(z.abs() > rate * penalty, z, torch.zeros_like(z))
