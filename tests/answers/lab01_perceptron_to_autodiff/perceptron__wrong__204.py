# Counts a small positive product (up to 0.001) as a mistake, where the rule says at most 0.
def perceptron(inputs, labels, epochs=100):
    weights, bias, mistakes = np.zeros(inputs.shape[1]), 0.0, []
    for _ in range(epochs):
        wrong = 0
        for x, y in zip(inputs, labels):
            if y * (weights @ x + bias) <= 1e-3:
                weights = weights + y * x
                bias = bias + y
                wrong += 1
        mistakes.append(wrong)
        if wrong == 0:
            break
    return weights, bias, mistakes
