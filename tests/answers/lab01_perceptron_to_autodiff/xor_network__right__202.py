# Nested Python lists, integers only, with growing output weights 1, -2, 3, -4, ... whose sums are positive for odd counts and negative or 0 for even ones.
def xor_network(n):
    if n == 1:
        return [[1]], [1], [1], 1
    W, t, v, s = xor_network(n - 1)
    return [row + [1] for row in W] + [[1] * n], t + [n], v + [n if n % 2 else -n], s
