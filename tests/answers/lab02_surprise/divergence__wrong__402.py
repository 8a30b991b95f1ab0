# Only outcomes that both hold possible are summed, so inf never comes.
# Input: divergence(np.array([0.25, 0.75]), np.array([0.0, 1.0]))
def entropy(q):
    q = q[q > 0]
    return -(q * np.log(q)).sum()


def divergence(q, p):
    both = (q > 0) & (p > 0)
    return (q[both] * np.log(q[both] / p[both])).sum()
