# The mean is the middle between the outer centres.
# Input: forward_fit(np.array([0.2, 0.5, 0.3]), np.array([-1.0, 2.0, 6.0]), np.array([0.5, 1.0, 3.0]))
def forward_fit(weights, means, sds):
    mean = (means.min() + means.max()) / 2
    return mean, np.sqrt(weights @ (sds**2 + (means - mean) ** 2))
