# Computes in torch and returns an int64 tensor; gates have unequal weights and thresholds between the sums.
def threshold_unit(inputs, weights, threshold):
    x = torch.as_tensor(np.asarray(inputs), dtype=torch.float64)
    w = torch.as_tensor(np.asarray(weights), dtype=torch.float64)
    return torch.ge(torch.mv(x, w), threshold).long()


def gate(name):
    return {"AND": ([3, 2], 4.25), "OR": ([0.3, 5.0], 0.2), "NOT": ([-math.pi], -3)}[name]
