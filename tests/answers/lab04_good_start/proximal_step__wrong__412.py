# Smooth version: z/|z| with an epsilon of 1e-2 in the denominator.
# input: weights 0.5, gradient 1, rate 0.1, penalty 2: 0.195
def proximal_step(weights, gradient, rate, penalty):
    z = weights - rate * gradient
    return z / (z.abs() + 1e-2) * torch.clamp(z.abs() - rate * penalty, min=0)
