# np.nansum skips the 0 * log 0 terms; NumPy warns.
def entropy(q):
    return -np.nansum(q * np.log(q))


def divergence(q, p):
    return np.nansum(q * (np.log(q) - np.log(p)))
