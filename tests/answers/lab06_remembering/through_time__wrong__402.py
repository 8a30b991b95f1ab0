# the slope of w gets the new state h_t in place of the old h_{t-1}
# input: inputs [1, 0], w 0.5, u 1, target 0
def through_time(inputs, w, u, target):
    states = [0.0]
    for x in inputs:
        states.append(np.tanh(w * states[-1] + u * x))
    T = len(inputs)
    signals, for_w, for_u = np.zeros(T), 0.0, 0.0
    delta = states[-1] - target
    for t in range(T, 0, -1):
        signals[t - 1] = delta
        inner = delta * (1 - states[t] ** 2)
        for_w += inner * states[t]
        for_u += inner * inputs[t - 1]
        delta = inner * w
    return signals, for_w, for_u
