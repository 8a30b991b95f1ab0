# Difference of two relus, above and below the threshold.
def proximal_step(weights, gradient, rate, penalty):
    t = rate * penalty
    z = torch.sub(weights, gradient, alpha=rate)
    return torch.relu(z - t) - torch.relu(-z - t)
