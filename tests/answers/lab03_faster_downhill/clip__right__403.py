# Recursion over the list for the norm, in torch for the scaling.
# Keeps the contract; verified against a plain reference.
def clip(gradients, limit):
    def length(rest):
        if not rest:
            return 0.0
        return math.hypot(float(torch.linalg.vector_norm(torch.tensor(rest[0], dtype=torch.float64))), length(rest[1:]))

    norm = length(list(gradients))
    scale = limit / norm if norm > limit else 1.0
    return [(torch.tensor(g) * scale).numpy() for g in gradients], norm
