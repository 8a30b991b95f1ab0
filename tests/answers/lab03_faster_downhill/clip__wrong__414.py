# Joins all arrays and returns them flat: the shapes are lost.
# Input: [np.array([[4.0]])]: the result has shape (1,)
def clip(gradients, limit):
    flat = np.concatenate([g.ravel() for g in gradients])
    norm = float(np.linalg.norm(flat))
    flat = flat * min(1.0, limit / norm) if norm else flat
    ends = np.cumsum([g.size for g in gradients])[:-1]
    return np.split(flat, ends), norm
