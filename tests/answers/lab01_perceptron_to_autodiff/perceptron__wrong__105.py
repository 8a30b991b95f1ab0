# The mistakes of an epoch are counted afterwards, with the weights at its end, and not as they are made.
def perceptron(inputs, labels, epochs=100):
    weights, bias, mistakes = np.zeros(inputs.shape[1]), 0.0, []
    for _ in range(epochs):
        changed = False
        for x, y in zip(inputs, labels):
            if y * (weights @ x + bias) <= 0:
                weights = weights + y * x
                bias = bias + y
                changed = True
        mistakes.append(int(np.sum(labels * (inputs @ weights + bias) <= 0)))
        if not changed:
            break
    return weights, bias, mistakes
