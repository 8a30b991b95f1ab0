# Shifts by the mean of the row: logits far above it overflow.
# Input: log_softmax(np.array([[0.0, 0.0, 3000.0]]))
def log_softmax(logits):
    shifted = logits - logits.mean(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
