# Also stops when an epoch ends with the weights it began with (a cycle), so on inseparable data the list of mistakes is too short.
def perceptron(inputs, labels, epochs=100):
    weights, bias, mistakes = np.zeros(inputs.shape[1]), 0.0, []
    for _ in range(epochs):
        old, wrong = (weights.copy(), bias), 0
        for x, y in zip(inputs, labels):
            if y * (weights @ x + bias) <= 0:
                weights = weights + y * x
                bias = bias + y
                wrong += 1
        mistakes.append(wrong)
        if np.array_equal(weights, old[0]) and bias == old[1]:
            break
    return weights, bias, mistakes
