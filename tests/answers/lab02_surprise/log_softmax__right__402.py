# Plain Python, row by row, with math.fsum.
def log_softmax(logits):
    import math

    rows = []
    for row in logits.tolist():
        top = max(row)
        rest = math.log(math.fsum(math.exp(z - top) for z in row))
        rows.append([(z - top) - rest for z in row])
    return np.array(rows)
