# The signals are computed by dividing by w, which may be 0.
# Input: through_time(np.array([1.0, 0.5]), 0.0, 1.0, 0.0)
def through_time(inputs, w, u, target):
    states = [0.0]
    for x in inputs:
        states.append(math.tanh(w * states[-1] + u * x))
    T = len(inputs)
    back = [(states[T] - target) * np.prod([(1 - states[s] ** 2) * w for s in range(t, T + 1)]) / w for t in range(1, T + 1)]
    signals = [back[t - 1] / (1 - states[t] ** 2) for t in range(1, T + 1)]
    return np.array(signals), sum(b * states[t] for t, b in enumerate(back)), sum(b * x for b, x in zip(back, inputs))
