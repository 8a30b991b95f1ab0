# Squares and adds in float32.
# Six digits are enough, says the exercise.
def clip(gradients, limit):
    norm = float(np.sqrt(sum(np.sum(g.astype(np.float32) ** 2) for g in gradients)))
    factor = min(1.0, limit / norm) if norm else 1.0
    return [g * factor for g in gradients], norm
