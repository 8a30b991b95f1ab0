# numpy in double precision inside, tensors of the input's type outside; sigmoid by tanh.
def contrastive_divergence(v, W, a, b, noise):
    V, w, va, hb = (t.detach().double().numpy() for t in (v, W, a, b))

    def on(z):
        return 0.5 * (1 + np.tanh(z / 2))

    p = on(V @ w + hb)
    # the draw compares in the input's own precision
    h = (noise < torch.sigmoid(v @ W + b)).double().numpy()
    made = on(h @ w.T + va)
    p2 = on(made @ w + hb)
    both = np.einsum("nd,nm->dm", V, p) - np.einsum("nd,nm->dm", made, p2)
    return tuple(torch.from_numpy(t).to(v.dtype) for t in (both / len(V), (V - made).mean(0), (p - p2).mean(0)))
