# A dataclass; tanh and its slope come from exp(-2|z|) and not from math.tanh.
from dataclasses import dataclass


@dataclass(eq=False, slots=True)
class Value:
    data: float
    parents: tuple = ()
    slopes: tuple = ()
    grad: float = 0.0

    def __post_init__(self):
        self.data = float(self.data)

    def __add__(self, other):
        if not isinstance(other, Value):
            return self + Value(other)
        return Value(data=self.data + other.data, parents=(self, other), slopes=(1, 1))

    def __mul__(self, other):
        if not isinstance(other, Value):
            return self * Value(other)
        return Value(data=self.data * other.data, parents=(self, other), slopes=(other.data, self.data))

    def tanh(self):
        q = math.exp(-2 * abs(self.data))
        size = -math.expm1(-2 * abs(self.data)) / (1 + q)
        return Value(math.copysign(size, self.data), (self,), (4 * q / (1 + q) ** 2,))

    def relu(self):
        match self.data > 0:
            case True:
                return Value(self.data, (self,), (1,))
            case False:
                return Value(0, (self,), (0,))
