# Only the first two components are used.
# Input: forward_fit(np.array([0.2, 0.5, 0.3]), np.array([-1.0, 2.0, 6.0]), np.array([0.5, 1.0, 3.0]))
def forward_fit(weights, means, sds):
    mean = weights[0] * means[0] + weights[1] * means[1]
    within = weights[0] * sds[0] ** 2 + weights[1] * sds[1] ** 2
    return mean, np.sqrt(within + weights[0] * weights[1] * (means[0] - means[1]) ** 2)
