# A class does the work and is kept in the state; each update makes a new one.
# Keeps the contract; verified against a plain reference.
class _Memory:
    def __init__(self, t, m, s):
        self.t, self.m, self.s = t, m, s

    def after(self, g, beta1, beta2):
        m = beta1 * self.m + (1 - beta1) * g
        return _Memory(self.t + 1, m, beta2 * self.s + (1 - beta2) * g * g)

    def corrected(self, beta1, beta2):
        return self.m / (1 - beta1**self.t), self.s / (1 - beta2**self.t)


def adam(x, g, state, rate, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0):
    old = state.get("memory") or _Memory(0, np.zeros(g.shape), np.zeros(g.shape))
    new = old.after(g, beta1, beta2)
    a, b = new.corrected(beta1, beta2)
    return x - rate * (a / (b**0.5 + eps) + decay * x), {"memory": new}
