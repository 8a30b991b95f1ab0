# truncated backpropagation: nothing goes back further than 20 steps
# input: 21 or more inputs with w 1, u 0.1: the first signals are 0
def through_time(inputs, w, u, target):
    states = [0.0]
    for x in inputs:
        states.append(np.tanh(w * states[-1] + u * x))
    T = len(inputs)
    signals, for_w, for_u = np.zeros(T), 0.0, 0.0
    delta = states[-1] - target
    for t in range(T, max(T - 20, 0), -1):
        signals[t - 1] = delta
        inner = delta * (1 - states[t] ** 2)
        for_w += inner * states[t - 1]
        for_u += inner * inputs[t - 1]
        delta = inner * w
    return signals, for_w, for_u
