# Shifts by the first logit of the row, which need not be the largest.
# Input: log_softmax(np.array([[0.0, 1000.0]]))
def log_softmax(logits):
    shifted = logits - logits[:, :1]
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
