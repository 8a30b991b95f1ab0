# Counts the examples that are wrong after the epoch, with its last weights, and not the mistakes made during it.
def perceptron(inputs, labels, epochs=100):
    weights, bias = np.zeros(inputs.shape[1]), 0.0
    mistakes = []

    def errors():
        return int(np.sum(labels * (inputs @ weights + bias) <= 0))

    for _ in range(epochs):
        for x, y in zip(inputs, labels):
            if y * (weights @ x + bias) <= 0:
                weights = weights + y * x
                bias = bias + y
        mistakes.append(errors())
        if mistakes[-1] == 0:
            break
    return weights, bias, mistakes
