# Shifted logits are clipped at -1000.
# Input: log_softmax(np.array([[0.0, -5000.0]]))
def log_softmax(logits):
    shifted = np.clip(logits - logits.max(axis=1, keepdims=True), -1000, None)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
