# a signal below 1e-3 counts as vanished and the loop stops there
# input: w 0.1, u 1, 8 inputs of 1: the first signals are 0, not 1e-9 ... 1e-4; also target close to h_T
def through_time(inputs, w, u, target):
    states = [0.0]
    for x in inputs:
        states.append(np.tanh(w * states[-1] + u * x))
    T = len(inputs)
    signals, for_w, for_u = np.zeros(T), 0.0, 0.0
    delta = states[-1] - target
    for t in range(T, 0, -1):
        if abs(delta) < 1e-3:
            break
        signals[t - 1] = delta
        inner = delta * (1 - states[t] ** 2)
        for_w += inner * states[t - 1]
        for_u += inner * inputs[t - 1]
        delta = inner * w
    return signals, for_w, for_u
