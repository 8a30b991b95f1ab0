# the signal is clipped to [-1, 1] on its way, against explosion
# input: inputs [0.01, 0.01, 0.01], w 3, u 0.1, target 2
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
        for_w += inner * states[t - 1]
        for_u += inner * inputs[t - 1]
        delta = np.clip(inner * w, -1, 1)
    return signals, for_w, for_u
