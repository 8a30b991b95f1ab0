# Components are merged one after the other, in plain Python.
def forward_fit(weights, means, sds):
    total = mean = variance = 0.0
    for w, m, s in zip(weights.tolist(), means.tolist(), sds.tolist()):
        if w == 0:
            continue
        share = w / (total + w)
        step = m - mean
        variance = (1 - share) * variance + share * s**2 + share * (1 - share) * step**2
        mean += share * step
        total += w
    return mean, variance**0.5
