# own tanh by exp(2a): overflow to NaN for large numbers
# input: inputs [1000, 1], w 1, u 1, target 0
def through_time(inputs, w, u, target):
    states = [0.0]
    for x in inputs:
        states.append((np.exp(2 * (w * states[-1] + u * x)) - 1) / (np.exp(2 * (w * states[-1] + u * x)) + 1))
    T = len(inputs)
    signals, for_w, for_u = np.zeros(T), 0.0, 0.0
    delta = states[-1] - target
    for t in range(T, 0, -1):
        signals[t - 1] = delta
        inner = delta * (1 - states[t] ** 2)
        for_w += inner * states[t - 1]
        for_u += inner * inputs[t - 1]
        delta = inner * w
    return signals, for_w, for_u
