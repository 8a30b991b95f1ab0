# a class that keeps the steps as objects on a stack; slopes by the complex step, exact to rounding
class Unrolled:
    def __init__(self, inputs, w, u):
        self.states = [0 * w]
        for x in inputs:
            self.states.append(np.tanh(w * self.states[-1] + u * x))


def through_time(inputs, w, u, target):
    tiny = 1e-30
    real = Unrolled(inputs, w, u).states
    error = real[-1] - target
    for_w = error * Unrolled(inputs, complex(w, tiny), u).states[-1].imag / tiny
    for_u = error * Unrolled(inputs, complex(w), complex(u, tiny)).states[-1].imag / tiny
    signals = [error]
    while len(signals) < len(inputs):
        signals.append(signals[-1] * w * (1 - real[-len(signals)] ** 2))
    return np.array(signals[::-1]), float(for_w), float(for_u)
