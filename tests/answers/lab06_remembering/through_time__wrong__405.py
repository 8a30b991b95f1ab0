# the part of the first step (t = 1) is left out of the slopes: the loop stops one early
# input: inputs [1, 0], w 0.5, u 1, target 0: for_u is 0
def through_time(inputs, w, u, target):
    states = [0.0]
    for x in inputs:
        states.append(math.tanh(w * states[-1] + u * x))
    T = len(inputs)
    signals = np.zeros(T)
    signals[-1] = states[-1] - target
    for_w = for_u = 0.0
    for t in range(T - 1, 0, -1):
        inner = signals[t] * (1 - states[t + 1] ** 2)
        for_w += inner * states[t]
        for_u += inner * inputs[t]
        signals[t - 1] = inner * w
    return signals, for_w, for_u
