# Shifts by the maximum plus 50, and normalises a second time.
def log_softmax(logits):
    z = np.array(logits, dtype=float)
    for _ in range(2):
        z = z - (z.max(axis=1, keepdims=True) + 50)
        z = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return z
