# Stops after an epoch that ends with the weights it began with, which can happen although mistakes were made (they cancel on XOR).
def perceptron(inputs, labels, epochs=100):
    # iterate the epoch map T on theta = (w, b) up to a fixed point
    X = np.column_stack([inputs, np.ones(len(inputs))])
    theta = np.zeros(X.shape[1])
    mistakes = []
    for _ in range(epochs):
        start = theta.copy()
        k = 0
        for x, y in zip(X, labels):
            if y * (theta @ x) <= 0:
                theta = theta + y * x
                k += 1
        mistakes.append(k)
        if np.array_equal(theta, start):
            break
    return theta[:-1], theta[-1], mistakes
