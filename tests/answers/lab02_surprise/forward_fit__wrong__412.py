# Mean and standard deviation of a large sample, not the exact ones.
# Input: forward_fit(np.array([0.2, 0.5, 0.3]), np.array([-1.0, 2.0, 6.0]), np.array([0.5, 1.0, 3.0]))
def forward_fit(weights, means, sds):
    rng = np.random.default_rng(0)
    which = rng.choice(len(weights), size=100_000, p=weights)
    sample = rng.normal(np.asarray(means)[which], np.asarray(sds)[which])
    return sample.mean(), sample.std()
