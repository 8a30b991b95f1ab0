# Rounded to six digits.
# Input: through_time(np.array([0.3]), 0.5, 1.0, 0.1)
def through_time(inputs, w, u, target):
    states = [0.0]
    for x in inputs:
        states.append(math.tanh(w * states[-1] + u * x))
    signal, signals, for_w, for_u = states[-1] - target, [], 0.0, 0.0
    for t in range(len(inputs), 0, -1):
        signals.insert(0, signal)
        slope = signal * (1 - states[t] ** 2)
        for_w, for_u, signal = for_w + slope * states[t - 1], for_u + slope * inputs[t - 1], slope * w
    return np.round(signals, 6), round(for_w, 6), round(for_u, 6)
