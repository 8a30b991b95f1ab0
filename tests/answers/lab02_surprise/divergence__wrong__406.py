# inf as soon as the belief holds a zero, even where the event never happens.
# Input: divergence(np.array([0.4, 0.6, 0.0]), np.array([0.5, 0.5, 0.0]))
def entropy(q):
    q = q[q > 0]
    return -(q * np.log(q)).sum()


def divergence(q, p):
    if (p == 0).any():
        return np.inf
    return (q[q > 0] * np.log(q[q > 0] / p[q > 0])).sum()
