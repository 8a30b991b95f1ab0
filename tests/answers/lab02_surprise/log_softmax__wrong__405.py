# The sum is taken over the unshifted exponentials, which overflow, with the maximum taken off as well.
# Input: log_softmax(np.array([[0.0, 1.0, 2.0], [3.0, -1.0, 0.5]]))
def log_softmax(logits):
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(logits).sum(axis=1, keepdims=True))
