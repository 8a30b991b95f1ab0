# The arguments are the other way round: KL(p || q).
# Input: divergence(np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.2, 0.6]))
def entropy(q):
    q = q[q > 0]
    return -(q * np.log(q)).sum()


def divergence(q, p):
    happens = p > 0
    if (q[happens] == 0).any():
        return np.inf
    return (p[happens] * np.log(p[happens] / q[happens])).sum()
