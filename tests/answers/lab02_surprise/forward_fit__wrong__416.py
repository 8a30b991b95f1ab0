# The standard deviations are squared in place: a second call gets other numbers.
# Input: unchanged(forward_fit, np.array([0.3, 0.7]), np.array([1.0, 4.0]), np.array([1.0, 2.0]))
def forward_fit(weights, means, sds):
    sds *= sds
    mean = weights @ means
    return mean, np.sqrt(weights @ (sds + (means - mean) ** 2))
