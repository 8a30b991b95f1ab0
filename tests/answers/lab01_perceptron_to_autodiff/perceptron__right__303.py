# A class with a recursive-free generator of epochs on plain Python lists; the weights come back as a list, the bias as an int.
from itertools import islice


class Learner:
    def __init__(self, size):
        self.w = [0.0] * size
        self.b = 0

    def see(self, x, y):
        total = sum(wi * xi for wi, xi in zip(self.w, x)) + self.b
        if (y > 0 and total > 0) or (y < 0 and total < 0):
            return False
        self.w = [wi + xi if y > 0 else wi - xi for wi, xi in zip(self.w, x)]
        self.b += 1 if y > 0 else -1
        return True

    def epochs(self, rows, labels):
        while True:
            wrong = [self.see(x, y) for x, y in zip(rows, labels)].count(True)
            yield wrong
            if not wrong:
                return


def perceptron(inputs, labels, epochs=100):
    rows = np.asarray(inputs, dtype=float).tolist()
    learner = Learner(np.shape(inputs)[1])
    mistakes = list(islice(learner.epochs(rows, list(labels)), epochs))
    return learner.w, learner.b, mistakes
