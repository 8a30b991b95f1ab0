# Unusual: torch instead of numpy, returns an int8 tensor; the gates are found by a search over weights and thresholds with the unit itself.
def threshold_unit(inputs, weights, threshold):
    x = torch.as_tensor(np.asarray(inputs), dtype=torch.float64)
    w = torch.as_tensor(np.asarray(weights), dtype=torch.float64)
    return torch.mv(x, w).ge(float(threshold)).to(torch.int8)


def gate(name):
    rows, wanted = {
        "AND": ([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 0, 0, 1]),
        "OR": ([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 1]),
        "NOT": ([[0], [1]], [1, 0]),
    }[name]

    def candidates(d):
        if d == 0:
            yield []
            return
        for rest in candidates(d - 1):
            for weight in (-3, -2, 2, 3):
                yield rest + [weight]

    for weights in candidates(len(rows[0])):
        for threshold in (-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 4.5):
            if threshold_unit(rows, weights, threshold).tolist() == wanted:
                return weights, threshold
