# One-hot rows come from a 10 x 10 matrix: more than ten classes break.
# Input: squared_error_gradient(np.zeros((1, 12)), np.array([11]))
def cross_entropy_gradient(logits, targets):
    p = special.softmax(logits, axis=1)
    p[np.arange(len(p)), targets] -= 1
    return p / len(p)


def squared_error_gradient(logits, targets):
    p = special.softmax(logits, axis=1)
    error = p - np.eye(10)[targets][:, : p.shape[1]]
    return 2 * p * (error - (p * error).sum(axis=1, keepdims=True)) / len(p)
