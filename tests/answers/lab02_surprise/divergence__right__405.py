# Recursion over halves of the outcomes.
def entropy(q):
    if len(q) == 1:
        return 0.0 if q[0] == 0 else float(-q[0] * np.log(q[0]))
    middle = len(q) // 2
    return entropy(q[:middle]) + entropy(q[middle:])


def divergence(q, p):
    if len(q) == 1:
        if q[0] == 0:
            return 0.0
        return float("inf") if p[0] == 0 else float(q[0] * np.log(q[0] / p[0]))
    middle = len(q) // 2
    return divergence(q[:middle], p[:middle]) + divergence(q[middle:], p[middle:])
