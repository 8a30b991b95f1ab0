# slopes forward in time (real-time recurrent learning), signals by a reversed cumulative product
def through_time(inputs, w, u, target):
    inputs = np.asarray(inputs, dtype=float)
    h = along_w = along_u = 0.0
    factors = []
    for x in inputs:
        new = np.tanh(w * h + u * x)
        slope = (1 - new) * (1 + new)
        along_w = slope * (h + w * along_w)
        along_u = slope * (x + w * along_u)
        factors.append(slope * w)
        h = new
    products = np.cumprod(np.array([1.0, *factors[:0:-1]]))[::-1]
    error = h - target
    return error * products, error * along_w, error * along_u
