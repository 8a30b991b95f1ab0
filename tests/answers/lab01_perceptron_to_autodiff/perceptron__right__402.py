# The dual form in torch: counts corrections per example with a Gram matrix and returns a tensor of weights.
def perceptron(inputs, labels, epochs=100):
    x = torch.as_tensor(np.array(inputs), dtype=torch.float64)
    y = torch.as_tensor(np.array(labels), dtype=torch.float64)
    gram = x @ x.T + 1
    sums, corrections, mistakes = torch.zeros(len(x), dtype=torch.float64), torch.zeros(len(x), dtype=torch.float64), []
    for _ in range(epochs):
        mistakes.append(0)
        for i in range(len(x)):
            if y[i] * sums[i] <= 0:
                corrections[i] += 1
                sums += y[i] * gram[i]
                mistakes[-1] += 1
        if not mistakes[-1]:
            break
    return (corrections * y) @ x, (corrections @ y), mistakes
