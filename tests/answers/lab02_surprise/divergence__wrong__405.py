# Where both are 0 the term 0 * log 0 makes it nan.
# Input: divergence(np.array([0.4, 0.6, 0.0]), np.array([0.5, 0.5, 0.0]))
def entropy(q):
    q = q[q > 0]
    return -(q * np.log(q)).sum()


def divergence(q, p):
    return -(q * np.log(p)).sum() - entropy(q)
