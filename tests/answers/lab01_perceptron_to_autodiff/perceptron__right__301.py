# Torch with the bias as a last weight of constant input 1; weights come back as a tensor and the bias as a 0-d tensor.
def perceptron(inputs, labels, epochs=100):
    X = torch.as_tensor(np.asarray(inputs), dtype=torch.float64)
    X = torch.cat([X, torch.ones(len(X), 1, dtype=torch.float64)], dim=1)
    signed = X * torch.as_tensor(np.asarray(labels), dtype=torch.float64)[:, None]
    theta = torch.zeros(X.shape[1], dtype=torch.float64)
    mistakes = []
    while len(mistakes) < epochs and (not mistakes or mistakes[-1] > 0):
        mistakes.append(0)
        for z in signed:
            wrong = bool(z.dot(theta) <= 0)
            theta = theta + wrong * z
            mistakes[-1] += int(wrong)
    return theta[:-1], theta[-1], mistakes
