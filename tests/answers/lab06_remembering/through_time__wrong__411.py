# the list of states is a mutable default argument, so the second call begins in the state where the first one ended
# input: any second call, e.g. inputs [1, 0] twice
def through_time(inputs, w, u, target, states=[0.0]):
    T = len(inputs)
    for x in inputs:
        states.append(np.tanh(w * states[-1] + u * x))
    h = states[-T - 1 :]
    signals, for_w, for_u = np.zeros(T), 0.0, 0.0
    delta = h[-1] - target
    for t in range(T, 0, -1):
        signals[t - 1] = delta
        inner = delta * (1 - h[t] ** 2)
        for_w += inner * h[t - 1]
        for_u += inner * inputs[t - 1]
        delta = inner * w
    return signals, for_w, for_u
