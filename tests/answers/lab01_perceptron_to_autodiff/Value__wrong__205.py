# Stores the slopes of a product as something that looks up the parents' numbers later, so they change when a parent's data is changed after the operation.
class Value:
    def __init__(self, data, parents=(), slopes=()):
        self.data, self.parents, self._slopes, self.grad = float(data), parents, slopes, 0.0

    @property
    def slopes(self):
        return self._slopes() if callable(self._slopes) else self._slopes

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data * other.data, (self, other), lambda: (other.data, self.data))

    def tanh(self):
        t = math.tanh(self.data)
        return Value(t, (self,), (1 - t**2,))

    def relu(self):
        return Value(max(0.0, self.data), (self,), (1.0 if self.data > 0 else 0.0,))
