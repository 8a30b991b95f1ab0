# Returns the weights after the epoch with the fewest mistakes instead of the last ones, so the answer is wrong where no line separates.
def perceptron(inputs, labels, epochs=100):
    weights, bias, mistakes = np.zeros(inputs.shape[1]), 0.0, []
    best = weights, bias
    for _ in range(epochs):
        wrong = 0
        for x, y in zip(inputs, labels):
            if y * (weights @ x + bias) <= 0:
                weights = weights + y * x
                bias = bias + y
                wrong += 1
        mistakes.append(wrong)
        if wrong == min(mistakes):
            best = weights, bias
        if wrong == 0:
            break
    return best[0], best[1], mistakes
