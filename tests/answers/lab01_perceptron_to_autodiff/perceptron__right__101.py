# Unusual: plain Python lists with the bias as one more weight, epochs from a generator; weights come back as a tuple, the bias as a 0-d array.
def perceptron(inputs, labels, epochs=100):
    rows = [[float(number) for number in row] + [1.0] for row in inputs]
    signs = [int(label) for label in labels]

    def one_epoch(w):
        wrong = 0
        for row, sign in zip(rows, signs):
            if sign * sum(a * b for a, b in zip(w, row)) <= 0:
                w = [a + sign * b for a, b in zip(w, row)]
                wrong += 1
        return w, wrong

    def run(start):
        w = start
        for _ in range(epochs):
            w, wrong = one_epoch(w)
            yield w, wrong
            if not wrong:
                return

    w, mistakes = [0.0] * len(rows[0]), []
    for w, wrong in run(w):
        mistakes.append(wrong)
    return tuple(w[:-1]), np.array(w[-1]), mistakes
