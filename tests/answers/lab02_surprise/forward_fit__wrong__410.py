# For a single component the standard deviation is set to 0.
# Input: forward_fit(np.array([1.0]), np.array([3.0]), np.array([2.0]))
def forward_fit(weights, means, sds):
    mean = weights @ means
    if len(means) == 1:
        return mean, 0.0
    return mean, np.sqrt(weights @ (sds**2 + (means - mean) ** 2))
