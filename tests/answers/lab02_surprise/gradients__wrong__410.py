# Forward differences of step 1e-4 in place of the formula: good to four digits.
# Input: squared_error_gradient(np.array([[0.0, 1.0, 2.0], [3.0, -1.0, 0.5]]), np.array([2, 0]))
def cross_entropy_gradient(logits, targets):
    p = special.softmax(logits, axis=1)
    p[np.arange(len(p)), targets] -= 1
    return p / len(p)


def squared_error_gradient(logits, targets):
    def loss(z):
        p = special.softmax(z, axis=1)
        return ((p - np.eye(p.shape[1])[targets]) ** 2).sum() / len(z)

    z = np.array(logits, dtype=float)
    gradient = np.zeros_like(z)
    for place in np.ndindex(z.shape):
        nudged = z.copy()
        nudged[place] += 1e-4
        gradient[place] = (loss(nudged) - loss(z)) / 1e-4
    return gradient
