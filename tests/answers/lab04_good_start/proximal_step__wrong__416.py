# Near-zeros in place of zeros: |z| as sqrt(z^2 + 1e-12), and sign(z) times at least 1e-8.
# input: weights 0.1, gradient 0, rate 0.1, penalty 2: 1e-8 in place of 0
def proximal_step(weights, gradient, rate, penalty):
    z = weights - rate * gradient
    return torch.sign(z) * torch.clamp(z.abs() - rate * penalty, min=1e-8)
