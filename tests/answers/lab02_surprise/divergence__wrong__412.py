# A belief that is merely tiny (np.isclose to 0) is called impossible.
# Input: divergence(np.array([0.5, 0.5]), np.array([1 - 1e-9, 1e-9]))
def entropy(q):
    q = q[q > 0]
    return -(q * np.log(q)).sum()


def divergence(q, p):
    happens = q > 0
    if np.isclose(p[happens], 0).any():
        return np.inf
    return (q[happens] * np.log(q[happens] / p[happens])).sum()
