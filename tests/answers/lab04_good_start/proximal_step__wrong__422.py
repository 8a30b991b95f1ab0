# Weights beyond 10 are clipped to 10 ('against overflow').
# input: weights 50, gradient 0, rate 0.1, penalty 1: 9.9 in place of 49.9
def proximal_step(weights, gradient, rate, penalty):
    z = weights - rate * gradient
    z = z.clamp(-10, 10)
    return torch.sign(z) * torch.clamp(z.abs() - rate * penalty, min=0)
