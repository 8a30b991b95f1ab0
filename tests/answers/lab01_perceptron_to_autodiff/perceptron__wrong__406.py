# Off by one: the while loop runs one epoch more than allowed when the data are never separated.
def perceptron(inputs, labels, epochs=100):
    weights = np.zeros(inputs.shape[1])
    bias = 0.0
    mistakes = []
    epoch = 0
    wrong = 1
    while wrong > 0 and epoch <= epochs:
        wrong = 0
        for x, y in zip(inputs, labels):
            if y * (weights @ x + bias) <= 0:
                weights = weights + y * x
                bias = bias + y
                wrong += 1
        mistakes.append(wrong)
        epoch += 1
    return weights, bias, mistakes
