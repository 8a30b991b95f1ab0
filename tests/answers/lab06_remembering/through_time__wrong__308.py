# Written for two steps, as in the text.
# Input: any with T other than 2
def through_time(inputs, w, u, target):
    h1 = math.tanh(u * inputs[0])
    h2 = math.tanh(w * h1 + u * inputs[-1])
    d2 = h2 - target
    a2 = d2 * (1 - h2**2)
    d1 = a2 * w
    a1 = d1 * (1 - h1**2)
    return np.array([d1, d2]), a2 * h1, a1 * inputs[0] + a2 * inputs[-1]
