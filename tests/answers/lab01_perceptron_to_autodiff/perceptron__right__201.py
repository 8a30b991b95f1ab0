# Exact arithmetic with fractions in Python lists, and a generator that yields the epochs; weights as a tuple of floats.
from fractions import Fraction
from itertools import islice


def perceptron(inputs, labels, epochs=100):
    rows = [([Fraction(float(c)) for c in x], int(y)) for x, y in zip(inputs, labels)]
    state = [Fraction(0)] * (len(rows[0][0]) + 1)

    def run():
        while True:
            wrong = 0
            for x, y in rows:
                if y * (sum(w * c for w, c in zip(state, x)) + state[-1]) <= 0:
                    state[:] = [w + y * c for w, c in zip(state, [*x, 1])]
                    wrong += 1
            yield wrong
            if not wrong:
                return

    mistakes = list(islice(run(), epochs))
    return tuple(float(w) for w in state[:-1]), float(state[-1]), mistakes
