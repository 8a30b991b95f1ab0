# The logits are shifted by their maximum in place: the caller's array changes.
# Input: unchanged(squared_error_gradient, np.array([[0.0, 1.0, 2.0]]), np.array([1]))
def cross_entropy_gradient(logits, targets):
    p = special.softmax(logits, axis=1)
    p[np.arange(len(p)), targets] -= 1
    return p / len(p)


def squared_error_gradient(logits, targets):
    logits -= logits.max(axis=1, keepdims=True)
    p = special.softmax(logits, axis=1)
    error = p - np.eye(p.shape[1])[targets]
    return 2 * p * (error - (p * error).sum(axis=1, keepdims=True)) / len(p)
