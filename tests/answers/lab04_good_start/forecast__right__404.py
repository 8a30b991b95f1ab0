# Through logarithms, so only equal up to about 1e-13.
def forecast(sizes, variances, slope=0.0):
    log_c = np.log((1 + slope**2) / 2)
    q, g = [np.log(sizes[0]) + np.log(variances[0])], [0.0]
    for n, v in zip(sizes[1:-1], variances[1:]):
        q.append(q[-1] + np.log(n) + np.log(v) + log_c)
    for n, v in zip(sizes[:1:-1], variances[:0:-1]):
        g.append(g[-1] + np.log(n) + np.log(v) + log_c)
    return [float(np.exp(x)) for x in q], [float(np.exp(x)) for x in g[::-1]]
