# The variance of the centres is forgotten.
# Input: forward_fit(np.array([0.2, 0.5, 0.3]), np.array([-1.0, 2.0, 6.0]), np.array([0.5, 1.0, 3.0]))
def forward_fit(weights, means, sds):
    mean = weights @ means
    return mean, np.sqrt(weights @ sds**2)
