# An epsilon in the logarithm of the belief hides the infinity.
# Input: divergence(np.array([0.5, 0.5]), np.array([1.0, 0.0]))
def entropy(q):
    q = q[q > 0]
    return -(q * np.log(q)).sum()


def divergence(q, p):
    happens = q > 0
    return (q[happens] * (np.log(q[happens]) - np.log(p[happens] + 1e-12))).sum()
