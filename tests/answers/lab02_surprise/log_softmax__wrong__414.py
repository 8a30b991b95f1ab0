# Only the two largest logits are summed, the rest is taken to be negligible.
# Input: log_softmax(np.array([[0.0, 1.0, 2.0], [3.0, -1.0, 0.5]]))
def log_softmax(logits):
    top = np.sort(logits, axis=1)[:, -2:]
    return logits - np.logaddexp(top[:, :1], top[:, -1:])
