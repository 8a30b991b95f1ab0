# The slopes already contain the inner derivative: each operation multiplies in the slopes of its parent (chain rule applied twice).
class Value:
    def __init__(self, data, parents=(), slopes=()):
        self.data, self.parents, self.slopes, self.grad = float(data), parents, slopes, 0.0

    def _inner(self):
        """Derivative of this number along what it was made of; 1 for an input."""
        return sum(self.slopes) if self.parents else 1.0

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def tanh(self):
        t = math.tanh(self.data)
        return Value(t, (self,), ((1 - t**2) * self._inner(),))

    def relu(self):
        step = 1.0 if self.data > 0 else 0.0
        return Value(max(0.0, self.data), (self,), (step * self._inner(),))
