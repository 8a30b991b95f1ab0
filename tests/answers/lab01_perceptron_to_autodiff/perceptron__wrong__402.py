# The epoch without a mistake is left out of the list, because the break comes before the append.
def perceptron(inputs, labels, epochs=100):
    weights, bias, mistakes = np.zeros(inputs.shape[1]), 0.0, []
    for _ in range(epochs):
        wrong = 0
        for x, y in zip(inputs, labels):
            if y * (weights @ x + bias) <= 0:
                weights = weights + y * x
                bias = bias + y
                wrong += 1
        if wrong == 0:
            break
        mistakes.append(wrong)
    return weights, bias, mistakes
