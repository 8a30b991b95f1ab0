# A subgradient step: subtracts eta lambda sign(w) and jumps over 0.
# input: weights 0.1, gradient 0, rate 0.1, penalty 2: -0.1 in place of 0
def proximal_step(weights, gradient, rate, penalty):
    return weights - rate * (gradient + penalty * torch.sign(weights))
