# the slope of tanh is taken at the state before, h_{t-1}, not at h_t
# input: inputs [0.5, -1, 2], w 0.7, u 0.3, target 1
def through_time(inputs, w, u, target):
    states = [0.0]
    for x in inputs:
        states.append(np.tanh(w * states[-1] + u * x))
    T = len(inputs)
    signals, for_w, for_u = np.zeros(T), 0.0, 0.0
    delta = states[-1] - target
    for t in range(T, 0, -1):
        signals[t - 1] = delta
        inner = delta * (1 - states[t - 1] ** 2)
        for_w += inner * states[t - 1]
        for_u += inner * inputs[t - 1]
        delta = inner * w
    return signals, for_w, for_u
