# Shifts by the largest absolute value: rows of large negative logits underflow.
# Input: log_softmax(np.array([[-1000.0, -1001.0]]))
def log_softmax(logits):
    shifted = logits - np.abs(logits).max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
