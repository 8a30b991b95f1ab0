# Softmax first, logarithm after: -inf where the probability is rounded to 0.
# Input: log_softmax(np.array([[0.0, 800.0]]))
def log_softmax(logits):
    return np.log(special.softmax(logits, axis=1))
