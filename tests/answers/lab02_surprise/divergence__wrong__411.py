# Zeros are dropped from each array by itself, so the outcomes no longer match.
# Input: divergence(np.array([0.0, 0.3, 0.7]), np.array([0.2, 0.8, 0.0]))
def entropy(q):
    q = q[q > 0]
    return -(q * np.log(q)).sum()


def divergence(q, p):
    q, p = q[q > 0], p[p > 0]
    if len(p) < len(q):
        return np.inf
    p = p[: len(q)]
    return (q * np.log(q / p)).sum()
