# Believes that with labels of one class only there is nothing to learn, and returns zeros and one epoch without a mistake.
def perceptron(inputs, labels, epochs=100):
    weights, bias, mistakes = np.zeros(inputs.shape[1]), 0.0, []
    if len(set(np.asarray(labels).tolist())) == 1:
        return weights, bias, [0]
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
