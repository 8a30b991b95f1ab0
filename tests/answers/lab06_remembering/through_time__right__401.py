# recursion: each call handles one step and gets the signal from the call for the next step
def through_time(inputs, w, u, target):
    def go(t, old):
        if t == len(inputs):
            return old - target, [], 0.0, 0.0
        new = math.tanh(w * old + u * inputs[t])
        delta, later, for_w, for_u = go(t + 1, new)
        inner = delta * (1 - new * new)
        return inner * w, [delta, *later], for_w + inner * old, for_u + inner * inputs[t]

    _, signals, for_w, for_u = go(0, 0.0)
    return np.array(signals), for_w, for_u
