# PyTorch's MixtureSameFamily knows mean and variance; returned as a list.
def forward_fit(weights, means, sds):
    w, m, s = (torch.as_tensor(np.asarray(x, dtype=float)) for x in (weights, means, sds))
    mixture = distributions.MixtureSameFamily(distributions.Categorical(w), distributions.Normal(m, s))
    return [mixture.mean.item(), mixture.variance.sqrt().item()]
