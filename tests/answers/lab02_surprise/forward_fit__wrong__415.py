# Both results are rounded to two decimals.
# Input: forward_fit(np.array([0.21, 0.48, 0.31]), np.array([-1.0, 2.0, 6.125]), np.array([0.5, 1.0, 3.0]))
def forward_fit(weights, means, sds):
    mean = weights @ means
    return round(float(mean), 2), round(float(np.sqrt(weights @ (sds**2 + (means - mean) ** 2))), 2)
