# Stops when weights and bias are the same after an epoch as before it, which on XOR happens although there were mistakes (they cancel).
def perceptron(inputs, labels, epochs=100):
    weights, bias, mistakes = np.zeros(inputs.shape[1]), 0.0, []
    for _ in range(epochs):
        old_weights, old_bias = weights.copy(), bias
        wrong = 0
        for x, y in zip(inputs, labels):
            if y * (weights @ x + bias) <= 0:
                weights = weights + y * x
                bias = bias + y
                wrong += 1
        mistakes.append(wrong)
        if np.array_equal(weights, old_weights) and bias == old_bias:
            break
    return weights, bias, mistakes
