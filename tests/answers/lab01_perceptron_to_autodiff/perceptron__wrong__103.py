# Corrections are saved up and made at the end of the epoch, so later examples of the epoch meet the old weights.
def perceptron(inputs, labels, epochs=100):
    weights, bias, mistakes = np.zeros(inputs.shape[1]), 0.0, []
    for _ in range(epochs):
        wrong = labels * (inputs @ weights + bias) <= 0
        weights = weights + labels[wrong] @ inputs[wrong]
        bias = bias + labels[wrong].sum()
        mistakes.append(int(wrong.sum()))
        if not wrong.any():
            break
    return weights, bias, mistakes
