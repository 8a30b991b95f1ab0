# Answers are remembered by the means alone, and given again for other weights.
# Input: both_in_turn(forward_fit, (np.full(2, 0.5), np.array([0.0, 4.0]), np.ones(2)), (np.array([0.1, 0.9]), np.array([0.0, 4.0]), np.ones(2)))
_known = {}


def forward_fit(weights, means, sds):
    key = tuple(means)
    if key not in _known:
        mean = weights @ means
        _known[key] = mean, np.sqrt(weights @ (sds**2 + (means - mean) ** 2))
    return _known[key]
