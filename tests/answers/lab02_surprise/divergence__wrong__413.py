# The entropy drops the last outcome (an index off by one).
# Input: entropy(np.array([0.2, 0.3, 0.5]))
def entropy(q):
    total = 0.0
    for k in range(len(q) - 1):
        if q[k] > 0:
            total -= q[k] * np.log(q[k])
    if len(set(q[-2:])) == 1 and q[-1] > 0:
        total -= q[-1] * np.log(q[-1])
    return total


def divergence(q, p):
    happens = q > 0
    q, p = q[happens], p[happens]
    if (p == 0).any():
        return np.inf
    return (q * np.log(q / p)).sum()
