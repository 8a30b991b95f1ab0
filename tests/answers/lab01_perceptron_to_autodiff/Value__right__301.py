# One table of functions; torch's autograd supplies number and slopes of every operation.
class Value:
    def __init__(self, data, parents=(), slopes=()):
        self.data, self.parents, self.slopes, self.grad = float(data), parents, slopes, 0.0

    def __repr__(self):
        return f"Value({self.data})"


def _operation(function):
    def method(*arguments):
        parents = tuple(a if isinstance(a, Value) else Value(a) for a in arguments)
        leaves = [torch.tensor(p.data, dtype=torch.float64, requires_grad=True) for p in parents]
        result = function(*leaves)
        slopes = torch.autograd.grad(result, leaves)
        return Value(result.item(), parents, tuple(s.item() for s in slopes))

    return method


for _name, _function in {
    "__add__": torch.add,
    "__mul__": torch.mul,
    "__radd__": torch.add,
    "__rmul__": torch.mul,
    "tanh": torch.tanh,
    "relu": torch.relu,
}.items():
    setattr(Value, _name, _operation(_function))
