# Counts the mistakes after the epoch with the final weights, not those met during the epoch.
def perceptron(inputs, labels, epochs=100):
    weights, bias, mistakes = np.zeros(inputs.shape[1]), 0.0, []
    for _ in range(epochs):
        for x, y in zip(inputs, labels):
            if y * (weights @ x + bias) <= 0:
                weights = weights + y * x
                bias = bias + y
        mistakes.append(int(np.sum(labels * (inputs @ weights + bias) <= 0)))
        if mistakes[-1] == 0:
            break
    return weights, bias, mistakes
