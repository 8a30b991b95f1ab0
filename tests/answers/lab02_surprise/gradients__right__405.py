# Cross-entropy's gradient from differences of log-probabilities; the other's as twice the centred p * error.
def _belief(logits):
    return np.exp(logits - np.logaddexp.reduce(logits, axis=1)[:, None])


def cross_entropy_gradient(logits, targets):
    found = _belief(logits)
    np.subtract.at(found, (range(len(targets)), targets), 1.0)
    return found * (1 / len(targets))


def squared_error_gradient(logits, targets):
    p = _belief(logits)
    push = p * (p - (np.arange(p.shape[1]) == np.reshape(targets, (-1, 1))))
    return (push - p * push.sum(axis=1)[:, None]) * (2.0 / len(p))
