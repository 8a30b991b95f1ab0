# Changes the weights in place (sub_).
# input: weights 0.5, gradient 1: the caller's tensor is 0.4 afterwards
def proximal_step(weights, gradient, rate, penalty):
    z = weights.sub_(rate * gradient)
    return torch.sign(z) * torch.clamp(z.abs() - rate * penalty, min=0)
