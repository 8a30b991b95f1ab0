# Computes in torch and keeps a tensor in the state, in a nested dictionary.
# Keeps the contract; verified against a plain reference.
def momentum(x, g, state, rate, beta=0.9, nesterov=False):
    a, b = torch.tensor(x, dtype=torch.float64), torch.tensor(g, dtype=torch.float64)
    v = b.clone()
    if state:
        v = v + beta * state["memory"]["velocity"]
    step = torch.add(b, v, alpha=beta) if nesterov else v
    return (a - torch.as_tensor(rate, dtype=torch.float64) * step).numpy(), {"memory": {"velocity": v}}
