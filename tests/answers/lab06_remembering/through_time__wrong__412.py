# the slopes are made of signals divided by w: NaN for w = 0
# input: inputs [1, 0], w 0, u 1, target 0
def through_time(inputs, w, u, target):
    states = [0.0]
    for x in inputs:
        states.append(np.tanh(w * states[-1] + u * x))
    back = [states[-1] - target]  # along h_T, ..., h_0
    for h in states[:0:-1]:
        back.append(back[-1] * (1 - h**2) * w)
    signals = np.array(back[::-1])
    inner = signals[:-1] / np.float64(w)
    return signals[1:], inner @ np.array(states[:-1]), inner @ inputs
