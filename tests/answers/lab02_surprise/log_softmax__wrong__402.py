# One maximum is taken for the whole batch: rows far below it underflow.
# Input: log_softmax(np.array([[1000.0, 999.0], [-1000.0, -1001.0]]))
def log_softmax(logits):
    shifted = logits - logits.max()
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
