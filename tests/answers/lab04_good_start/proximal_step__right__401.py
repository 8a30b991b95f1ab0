# F.softshrink of PyTorch.
def proximal_step(weights, gradient, rate, penalty):
    return F.softshrink(weights - rate * gradient, float(rate * penalty))
