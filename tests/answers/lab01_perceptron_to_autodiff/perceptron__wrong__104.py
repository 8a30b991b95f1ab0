# Off by one in the limit: on data that no line separates it does one epoch more than allowed.
def perceptron(inputs, labels, epochs=100):
    weights, bias, mistakes = np.zeros(inputs.shape[1]), 0.0, []
    epoch = 0
    while epoch <= epochs:
        epoch += 1
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
