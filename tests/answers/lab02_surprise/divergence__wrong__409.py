# The zeros of q are overwritten by 1 in the caller's array.
# Input: unchanged(entropy, np.array([0.5, 0.5, 0.0]))
def entropy(q):
    q[q == 0] = 1.0
    return -(q * np.log(q)).sum()


def divergence(q, p):
    happens = q > 0
    q, p = q[happens], p[happens]
    if (p == 0).any():
        return np.inf
    return (q * np.log(q / p)).sum()
