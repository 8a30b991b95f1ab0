# The variance of the centres from all pairs of centres, without the mean.
def forward_fit(weights, means, sds):
    apart = np.subtract.outer(means, means) ** 2
    between = weights @ apart @ weights / 2
    return np.dot(weights, means), np.sqrt(np.dot(weights, np.square(sds)) + between)
