# np.average and np.cov with weights.
def forward_fit(weights, means, sds):
    mean = np.average(means, weights=weights)
    between = np.average((np.asarray(means, float) - mean) ** 2, weights=weights)
    return mean, np.hypot(np.sqrt(between), np.sqrt(np.average(np.asarray(sds) ** 2.0, weights=weights)))
