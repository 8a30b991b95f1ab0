# SciPy's entr and rel_entr do both.
def entropy(q):
    return special.entr(q).sum()


def divergence(q, p):
    return special.rel_entr(q, p).sum()
