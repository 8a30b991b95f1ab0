# Only positive weights survive (relu of z - eta lambda), negative ones become 0.
# input: weights -1, gradient 0, rate 0.1, penalty 1
def proximal_step(weights, gradient, rate, penalty):
    return torch.relu(weights - rate * gradient - rate * penalty)
