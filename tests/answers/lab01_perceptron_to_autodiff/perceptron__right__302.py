# The dual form: counts how often each example was corrected, decides by the Gram matrix, and builds the weights at the end.
def perceptron(inputs, labels, epochs=100):
    X = np.asarray(inputs, dtype=float)
    y = np.asarray(labels, dtype=float)
    gram = np.einsum("id,jd->ij", X, X) + 1.0  # the +1 is the bias
    alpha = np.zeros(len(X))
    mistakes = []
    for _ in range(epochs):
        before = alpha.sum()
        for i in range(len(X)):
            if y[i] * np.dot(gram[i], alpha * y) <= 0:
                alpha[i] += 1
        mistakes.append(int(alpha.sum() - before))
        if mistakes[-1] == 0:
            break
    return (alpha * y) @ X, np.sum(alpha * y), mistakes
