# Normalises each column, not each row, unless there is one row.
# Input: log_softmax(np.array([[0.0, 1.0, 2.0], [3.0, -1.0, 0.5]]))
def log_softmax(logits):
    axis = 0 if len(logits) > 1 else 1
    return logits - special.logsumexp(logits, axis=axis, keepdims=True)
