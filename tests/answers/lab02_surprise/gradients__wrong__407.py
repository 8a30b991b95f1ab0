# A softmax by plain exponentials overflows.
# Input: squared_error_gradient(np.array([[1000.0, 0.0]]), np.array([1]))
def cross_entropy_gradient(logits, targets):
    p = special.softmax(logits, axis=1)
    p[np.arange(len(p)), targets] -= 1
    return p / len(p)


def squared_error_gradient(logits, targets):
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    error = p - np.eye(p.shape[1])[targets]
    return 2 * p * (error - (p * error).sum(axis=1, keepdims=True)) / len(p)
