# The norm of the list of norms; a copy below the limit; a NumPy number as the norm.
# Keeps the contract; verified against a plain reference.
def clip(gradients, limit):
    norm = np.linalg.norm([np.linalg.norm(g.ravel()) for g in gradients])
    if norm <= limit:
        return [np.array(g) for g in gradients], norm
    return [g / norm * limit for g in gradients], norm
