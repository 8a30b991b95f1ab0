# returns the gradient along the pre-activation, delta_t (1 - h_t^2), as backward signal; slopes are right
# input: inputs [1, 0], w 0.5, u 1, target 0
def through_time(inputs, w, u, target):
    states = [0.0]
    for x in inputs:
        states.append(np.tanh(w * states[-1] + u * x))
    T = len(inputs)
    signals, for_w, for_u = np.zeros(T), 0.0, 0.0
    delta = states[-1] - target
    for t in range(T, 0, -1):
        inner = delta * (1 - states[t] ** 2)
        signals[t - 1] = inner
        for_w += inner * states[t - 1]
        for_u += inner * inputs[t - 1]
        delta = inner * w
    return signals, for_w, for_u
