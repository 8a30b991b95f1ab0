# The entropy is four times a mean: right for four outcomes alone.
# Input: entropy(np.full(6, 1 / 6))
def entropy(q):
    terms = np.where(q > 0, -q * np.log(np.where(q > 0, q, 1.0)), 0.0)
    return 4 * terms.mean()


def divergence(q, p):
    happens = q > 0
    q, p = q[happens], p[happens]
    if (p == 0).any():
        return np.inf
    return (q * np.log(q / p)).sum()
