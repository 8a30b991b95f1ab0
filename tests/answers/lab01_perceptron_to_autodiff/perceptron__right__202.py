# Works in torch on vectors with an appended 1, recursively over blocks of examples; the bias is a 0-d array, the mistakes are NumPy integers.
def perceptron(inputs, labels, epochs=100):
    x = torch.tensor(np.asarray(inputs), dtype=torch.float64)
    y = torch.tensor(np.asarray(labels), dtype=torch.float64)
    signed = torch.column_stack([x, torch.ones(len(x), dtype=torch.float64)]) * y[:, None]

    def epoch(w, i=0, wrong=np.int64(0)):
        if i == len(signed):
            return w, wrong
        middle = min(len(signed), i + 50)  # recursion over blocks of 50 examples
        for row in signed[i:middle]:
            bad = (torch.dot(w, row) <= 0).double()
            w, wrong = w + bad * row, wrong + np.int64(bad.item())
        return epoch(w, middle, wrong)

    w, mistakes = torch.zeros(signed.shape[1], dtype=torch.float64), []
    while len(mistakes) < epochs and 0 not in mistakes:
        w, wrong = epoch(w)
        mistakes.append(wrong)
    return w[:-1].numpy(), w[-1].numpy(), mistakes
