# A matrix is needed: loops over rows and columns, so biases (1-D) and 3-D weights fail.
# input: weights [3]
def proximal_step(weights, gradient, rate, penalty):
    rows, columns = weights.shape
    z = weights - rate * gradient
    return torch.sign(z) * torch.clamp(z.abs() - rate * penalty, min=0)
