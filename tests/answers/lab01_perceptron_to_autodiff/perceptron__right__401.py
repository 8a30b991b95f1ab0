# One augmented vector of plain Python floats inside a class; weights returned as a tuple, bias as a 0-d array.
class Rosenblatt:
    def __init__(self, size):
        self.w = [0.0] * (size + 1)

    def learn(self, x, y):
        """1 if it was a mistake, else 0."""
        x = [float(number) for number in x] + [1.0]
        if y * sum(a * b for a, b in zip(self.w, x)) > 0:
            return 0
        self.w = [a + y * b for a, b in zip(self.w, x)]
        return 1


def perceptron(inputs, labels, epochs=100):
    unit, mistakes = Rosenblatt(inputs.shape[1]), []
    while len(mistakes) < epochs and (not mistakes or mistakes[-1]):
        mistakes.append(sum(unit.learn(x, int(y)) for x, y in zip(inputs, labels)))
    *weights, bias = unit.w
    return tuple(float(weight) for weight in weights), np.array(float(bias)), mistakes
