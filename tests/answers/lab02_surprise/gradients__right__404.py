# The complex step: a derivative without formula, yet exact to the last digits.
def _complex_step(loss, logits, targets):
    z = np.asarray(logits, dtype=float)
    z = z - z.max(axis=1, keepdims=True)
    rows, found = np.arange(len(z)), np.zeros(z.shape)
    for j in range(z.shape[1]):
        nudged = z.astype(complex)
        nudged[:, j] += 1e-30j
        found[:, j] = loss(nudged, rows, targets).imag / 1e-30 / len(z)
    return found


def cross_entropy_gradient(logits, targets):
    def loss(z, rows, targets):
        return np.log(np.exp(z).sum(axis=1)) - z[rows, targets]

    return _complex_step(loss, logits, targets)


def squared_error_gradient(logits, targets):
    def loss(z, rows, targets):
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        p[rows, targets] -= 1
        return (p * p).sum(axis=1)

    return _complex_step(loss, logits, targets)
