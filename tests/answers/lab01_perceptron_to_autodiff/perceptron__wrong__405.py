# The list of mistakes is a mutable default argument, so it goes on growing from one call to the next.
def perceptron(inputs, labels, epochs=100, mistakes=[]):
    weights, bias = np.zeros(inputs.shape[1]), 0.0
    for _ in range(epochs):
        wrong = 0
        for x, y in zip(inputs, labels):
            if y * (weights @ x + bias) <= 0:
                weights = weights + y * x
                bias = bias + y
                wrong += 1
        mistakes.append(wrong)
        if wrong == 0:
            break
    return weights, bias, mistakes
