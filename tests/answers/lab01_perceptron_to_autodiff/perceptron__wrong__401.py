# Predicts +1 when the sum is 0, so an undecided example with label +1 is not counted as a mistake.
def perceptron(inputs, labels, epochs=100):
    weights, bias, mistakes = np.zeros(inputs.shape[1]), 0.0, []
    for _ in range(epochs):
        wrong = 0
        for x, y in zip(inputs, labels):
            guess = 1 if weights @ x + bias >= 0 else -1
            if guess != y:
                weights = weights + y * x
                bias = bias + y
                wrong += 1
        mistakes.append(wrong)
        if wrong == 0:
            break
    return weights, bias, mistakes
