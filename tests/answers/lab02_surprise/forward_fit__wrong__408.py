# Weights are squared, as for a weighted sum of variables, not a mixture (doubled, so that two halves agree).
# Input: forward_fit(np.array([0.2, 0.5, 0.3]), np.array([-1.0, 2.0, 6.0]), np.array([0.5, 1.0, 3.0]))
def forward_fit(weights, means, sds):
    mean = weights @ means
    within = 2 * weights**2 @ sds**2
    return mean, np.sqrt(within + weights @ (means - mean) ** 2)
