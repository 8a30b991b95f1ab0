# The two directions are averaged (Jeffreys), so that the order does not matter.
# Input: divergence(np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.2, 0.6]))
def entropy(q):
    q = q[q > 0]
    return -(q * np.log(q)).sum()


def divergence(q, p):
    return (special.rel_entr(q, p).sum() + special.rel_entr(p, q).sum()) / 2
