# What never happens is overwritten by 1 in both of the caller's arrays.
# Input: unchanged(divergence, np.array([0.5, 0.5, 0.0]), np.array([0.2, 0.2, 0.6]))
def entropy(q):
    q = q[q > 0]
    return -(q * np.log(q)).sum()


def divergence(q, p):
    never = q == 0
    q[never] = 1.0
    p[never] = 1.0
    if (p == 0).any():
        return np.inf
    return (q * np.log(q / p)).sum()
