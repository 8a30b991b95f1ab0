# Both are right in bits, not in nats; only the divergence is, so the entropy example passes.
# Input: divergence(np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.2, 0.6]))
def entropy(q):
    q = q[q > 0]
    return -(q * np.log(q)).sum()



def divergence(q, p):
    happens = q > 0
    q, p = q[happens], p[happens]
    if (p == 0).any():
        return np.inf
    return (q * np.log2(q / p)).sum()
