# Unusual: the dual form in torch; it counts how often each example was corrected and uses only inner products; weights come back as a tensor, the bias as an int.
def perceptron(inputs, labels, epochs=100):
    x = torch.as_tensor(np.asarray(inputs), dtype=torch.float64)
    y = torch.as_tensor(np.asarray(labels), dtype=torch.float64)
    gram = x @ x.T + 1
    times = torch.zeros_like(y)
    mistakes = []
    while len(mistakes) < epochs and 0 not in mistakes[-1:]:
        before = times.sum().item()
        for i in range(len(y)):
            times[i] += float(y[i] * torch.dot(times * y, gram[i]) <= 0)
        mistakes.append(int(times.sum().item() - before))
    return (times * y) @ x, int((times * y).sum()), mistakes
