# einsum and the Heaviside function in torch; gates with odd asymmetric constants and a Fraction as threshold.
from fractions import Fraction


def threshold_unit(inputs, weights, threshold):
    columns = torch.as_tensor(np.asarray(inputs), dtype=torch.float64)
    sums = torch.einsum("nd,d->n", columns, torch.as_tensor(np.asarray(weights), dtype=torch.float64))
    return torch.heaviside(sums - float(threshold), torch.ones((), dtype=torch.float64)).long().numpy()


def gate(name):
    if name == "NOT":
        return [-7.25], Fraction(-22, 7)
    return [3, 1e3], Fraction(1001) if name == "AND" else Fraction(5, 2)
