# A loop over pairs; an identical different pair costs the constant margin squared.
def contrastive_loss(a, b, same, margin):
    total = 0 * a.sum() + 0 * b.sum()
    for x, y, equal in zip(a, b, same.tolist()):
        squared = ((x - y) ** 2).sum()
        if equal:
            total = total + squared
        elif squared == 0:
            total = total + margin**2
        else:
            distance = squared.sqrt()
            if distance < margin:
                total = total + (margin - distance) ** 2
    return total / len(a)
