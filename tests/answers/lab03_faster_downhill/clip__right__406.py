# The norm is rounded to six places.
# Six digits are enough, says the exercise.
def clip(gradients, limit):
    norm = round(math.sqrt(sum(float(np.sum(g**2)) for g in gradients)), 6)
    factor = min(1.0, limit / norm) if norm else 1.0
    return [g * factor for g in gradients], norm
