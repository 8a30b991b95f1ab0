# A number used twice is remembered as one parent with one slope, so x + x has the slope 1 and x * x the slope x.
class Value:
    def __init__(self, data, parents=(), slopes=()):
        self.data, self.parents, self.slopes, self.grad = float(data), parents, slopes, 0.0

    @staticmethod
    def _unique(number, edges):
        edges = {parent: slope for parent, slope in edges}
        return Value(number, tuple(edges.keys()), tuple(edges.values()))

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return self._unique(self.data + other.data, [(self, 1.0), (other, 1.0)])

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return self._unique(self.data * other.data, [(self, other.data), (other, self.data)])

    def tanh(self):
        t = math.tanh(self.data)
        return self._unique(t, [(self, 1 - t * t)])

    def relu(self):
        return self._unique(self.data if self.data > 0 else 0.0, [(self, 1.0 if self.data > 0 else 0.0)])
