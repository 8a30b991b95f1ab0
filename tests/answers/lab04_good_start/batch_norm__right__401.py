# PyTorch's F.batch_norm on clones of the running statistics.
def batch_norm(x, gain, shift, mean, variance, training, momentum=0.1, eps=1e-5):
    mean, variance = mean.clone(), variance.clone()
    outputs = F.batch_norm(x, mean, variance, gain, shift, training, momentum, eps)
    return outputs, mean, variance
