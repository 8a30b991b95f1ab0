# The state of the last call is the start of the next.
# Input: the second call of any
_last = [0.0]


def through_time(inputs, w, u, target):
    states = [_last[0]]
    for x in inputs:
        states.append(math.tanh(w * states[-1] + u * x))
    _last[0] = states[-1]
    signal, signals, for_w, for_u = states[-1] - target, [], 0.0, 0.0
    for t in range(len(inputs), 0, -1):
        signals.insert(0, signal)
        slope = signal * (1 - states[t] ** 2)
        for_w, for_u, signal = for_w + slope * states[t - 1], for_u + slope * inputs[t - 1], slope * w
    return np.array(signals), for_w, for_u
