# Half of the threshold, since the objective has 1/2.
# input: weights 0.5, gradient 1, rate 0.1, penalty 2: 0.3
def proximal_step(weights, gradient, rate, penalty):
    z = weights - rate * gradient
    return torch.sign(z) * torch.clamp(z.abs() - rate * penalty / 2, min=0)
