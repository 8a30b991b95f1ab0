# One decision for the whole tensor: its norm is shrunk (group lasso).
# input: weights (0.5, -0.2), gradient (1, -1), rate 0.1, penalty 2
def proximal_step(weights, gradient, rate, penalty):
    z = weights - rate * gradient
    return z * torch.clamp(1 - rate * penalty / z.norm().clamp(min=1e-12), min=0)
