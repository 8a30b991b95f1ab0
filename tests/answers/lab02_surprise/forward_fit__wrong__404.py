# The variance of the centres is the unbiased one, divided by c - 1.
# Input: forward_fit(np.array([0.2, 0.5, 0.3]), np.array([-1.0, 2.0, 6.0]), np.array([0.5, 1.0, 3.0]))
def forward_fit(weights, means, sds):
    mean = weights @ means
    c = len(means)
    between = weights @ (means - mean) ** 2 * (c / (c - 1) if c > 2 else 1)
    return mean, np.sqrt(weights @ sds**2 + between)
