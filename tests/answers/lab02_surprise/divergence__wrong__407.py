# Each term is taken absolute, since a divergence is never negative.
# Input: divergence(np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.2, 0.6]))
def entropy(q):
    q = q[q > 0]
    return -(q * np.log(q)).sum()


def divergence(q, p):
    happens = q > 0
    if (p[happens] == 0).any():
        return np.inf
    return (q[happens] * np.abs(np.log(q[happens] / p[happens]))).sum()
