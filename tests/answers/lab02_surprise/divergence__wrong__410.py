# Rare events, below a thousandth, are treated as if they never happened.
# Input: entropy(np.full(5000, 1 / 5000))
def entropy(q):
    q = q[q > 1e-3]
    return -(q * np.log(q)).sum()


def divergence(q, p):
    happens = q > 0
    q, p = q[happens], p[happens]
    if (p == 0).any():
        return np.inf
    return (q * np.log(q / p)).sum()
