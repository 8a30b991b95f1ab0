# the sums as matrix products: one bidiagonal linear system is solved for all signals; slope of tanh as 1/cosh^2
def through_time(inputs, w, u, target):
    T = len(inputs)
    before, slope = np.zeros(T), np.zeros(T)
    h = 0.0
    for t in range(T):
        before[t] = h
        z = w * h + u * inputs[t]
        h = np.tanh(z)
        slope[t] = 1 / np.cosh(z) ** 2
    system = np.eye(T) - np.diag(slope[1:] * w, 1)
    right = np.zeros(T)
    right[-1] = h - target
    signals = np.linalg.solve(system, right)
    return signals, (signals * slope) @ before, (signals * slope) @ np.asarray(inputs)
