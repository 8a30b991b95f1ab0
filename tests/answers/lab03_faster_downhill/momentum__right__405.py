# The velocity is kept in float32.
# Six digits are enough, says the exercise.
def momentum(x, g, state, rate, beta=0.9, nesterov=False):
    v = (beta * state.get("v", 0) + g).astype(np.float32)
    return x - rate * (g + beta * v if nesterov else v), {"v": v}
