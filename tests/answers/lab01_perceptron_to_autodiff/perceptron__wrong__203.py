# Multiplies the caller's inputs by the labels in place, so the data are spoiled for everybody after the call.
def perceptron(inputs, labels, epochs=100):
    weights, bias, mistakes = np.zeros(inputs.shape[1]), 0.0, []
    inputs *= labels[:, None]  # now every sum should be positive
    for _ in range(epochs):
        wrong = 0
        for yx, y in zip(inputs, labels):
            if weights @ yx + y * bias <= 0:
                weights = weights + yx
                bias = bias + y
                wrong += 1
        mistakes.append(wrong)
        if wrong == 0:
            break
    return weights, bias, mistakes
