# Stays with each example until it is answered rightly, in place of correcting it once and going on.
def perceptron(inputs, labels, epochs=100):
    w = np.zeros(inputs.shape[1])
    b = 0.0
    mistakes = []
    for epoch in range(epochs):
        count = 0
        for i in range(len(inputs)):
            while labels[i] * (np.dot(w, inputs[i]) + b) <= 0:
                w = w + labels[i] * inputs[i]
                b = b + labels[i]
                count += 1
        mistakes.append(count)
        if count == 0:
            break
    return w, b, mistakes
