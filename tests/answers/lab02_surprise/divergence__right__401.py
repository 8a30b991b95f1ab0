# Plain Python loops with math.log and math.fsum.
def entropy(q):
    import math

    return math.fsum(-float(x) * math.log(x) for x in q if x > 0)


def divergence(q, p):
    import math

    terms = []
    for x, y in zip(q, p):
        if x == 0:
            continue
        if y == 0:
            return math.inf
        terms.append(x * (math.log(x) - math.log(y)))
    return math.fsum(terms)
