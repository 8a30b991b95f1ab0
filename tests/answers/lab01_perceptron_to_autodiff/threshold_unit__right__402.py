# Einsum and np.heaviside, so the outputs are floats 0.0 and 1.0; gates come from a closure, thresholds are 0-d arrays.
def threshold_unit(inputs, weights, threshold):
    sums = np.einsum("nd,d->n", inputs, weights)
    return np.heaviside(np.where(sums >= threshold, 1.0, -1.0), 1.0)


def gate(name):
    def make(size, sign, threshold):
        return [np.float64(sign * 100) for _ in range(size)], np.array(threshold)

    table = {"AND": lambda: make(2, 1, 199.0), "OR": lambda: make(2, 1, 1e-3), "NOT": lambda: make(1, -1, -99.0)}
    return table[name]()
