# The weights are an array of integers and each correction is cut to integers.
def perceptron(inputs, labels, epochs=100):
    weights = np.zeros(inputs.shape[1], dtype=int)
    bias = 0
    mistakes = []
    for _ in range(epochs):
        wrong = 0
        for i in range(len(inputs)):
            if labels[i] * (np.dot(weights, inputs[i]) + bias) <= 0:
                weights[:] = weights + labels[i] * inputs[i]
                bias += labels[i]
                wrong += 1
        mistakes.append(wrong)
        if wrong == 0:
            break
    return weights, bias, mistakes
