# The largest logit ever seen is kept between calls, and shifts later batches too.
# Input: both_in_turn(log_softmax, (np.array([[2000.0, 0.0]]),), (np.array([[0.0, 1.0]]),))
_largest = [-np.inf]


def log_softmax(logits):
    _largest[0] = max(_largest[0], logits.max())
    shifted = logits - _largest[0]
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
