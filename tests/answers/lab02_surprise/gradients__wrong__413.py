# The one-hot matrix of the first call is kept and used again where the shape is the same.
# Input: both_in_turn(cross_entropy_gradient, (np.zeros((2, 3)), np.array([0, 1])), (np.zeros((2, 3)), np.array([2, 2])))
_onehots = {}


def cross_entropy_gradient(logits, targets):
    if logits.shape not in _onehots:
        _onehots[logits.shape] = np.eye(logits.shape[1])[targets]
    return (special.softmax(logits, axis=1) - _onehots[logits.shape]) / len(logits)


def squared_error_gradient(logits, targets):
    p = special.softmax(logits, axis=1)
    error = p - np.eye(p.shape[1])[targets]
    return 2 * p * (error - (p * error).sum(axis=1, keepdims=True)) / len(p)
