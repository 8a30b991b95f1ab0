# An epsilon within the logarithm bounds the surprise.
# Input: log_softmax(np.array([[0.0, -50.0]]))
def log_softmax(logits):
    shifted = logits - logits.max(axis=1, keepdims=True)
    p = np.exp(shifted)
    p = p / p.sum(axis=1, keepdims=True)
    return np.log(p + 1e-12)
