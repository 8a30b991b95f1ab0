# Torch's heaviside step with value 1 at 0; the result is a tensor, and the gates have odd constants in a match statement.
def threshold_unit(inputs, weights, threshold):
    x = torch.as_tensor(inputs, dtype=torch.float64)
    w = torch.as_tensor(weights, dtype=torch.float64)
    one = torch.ones((), dtype=torch.float64)
    return torch.heaviside(torch.einsum("nd,d->n", x, w) - threshold, one).long()


def gate(name):
    match name.upper():
        case "AND":
            return [math.pi, math.e], 5.5
        case "OR":
            return [math.pi, math.e], 0.001
        case "NOT":
            return [-1e6], -17.0
        case _:
            raise KeyError(name)
