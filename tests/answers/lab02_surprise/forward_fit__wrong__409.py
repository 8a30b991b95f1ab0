# The means are centred in place: the caller's array is changed (and whole numbers cut).
# Input: unchanged(forward_fit, np.array([0.3, 0.7]), np.array([1.0, 4.0]), np.array([1.0, 2.0]))
def forward_fit(weights, means, sds):
    mean = weights @ means
    means[:] = means - mean
    return mean, np.sqrt(weights @ (sds**2 + means**2))
