# Weights are ignored: right only where all are equal.
# Input: forward_fit(np.array([0.2, 0.5, 0.3]), np.array([-1.0, 2.0, 6.0]), np.array([0.5, 1.0, 3.0]))
def forward_fit(weights, means, sds):
    return np.mean(means), np.sqrt(np.mean(sds**2) + np.var(means))
