# the states are written into the caller's array of inputs, which is changed afterwards
# input: inputs [1.0, 0.0]: they are [0.762, 0.363] after the call
def through_time(inputs, w, u, target):
    read = inputs.copy()
    states = inputs
    old = 0.0
    for t in range(len(inputs)):
        old = states[t] = np.tanh(w * old + u * read[t])
    before = np.append(0.0, states[:-1])
    signals = np.zeros(len(read))
    signals[-1] = states[-1] - target
    for t in range(len(read) - 1, 0, -1):
        signals[t - 1] = signals[t] * (1 - states[t] ** 2) * w
    inner = signals * (1 - states**2)
    return signals, inner @ before, inner @ read
