# Converted to float32 at first: large logits lose the digits that matter.
# Input: log_softmax(np.array([[1e8, 1e8 + 1]]))
def log_softmax(logits):
    logits = logits.astype(np.float32)
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
