# The right class of the first row is used for all rows.
# Input: squared_error_gradient(np.array([[0.0, 1.0, 2.0], [3.0, -1.0, 0.5]]), np.array([2, 0]))
def cross_entropy_gradient(logits, targets):
    p = special.softmax(logits, axis=1)
    p[np.arange(len(p)), targets] -= 1
    return p / len(p)


def squared_error_gradient(logits, targets):
    p = special.softmax(logits, axis=1)
    error = p - np.eye(p.shape[1])[targets[:1]]
    return 2 * p * (error - (p * error).sum(axis=1, keepdims=True)) / len(p)
