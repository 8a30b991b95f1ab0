# PyTorch inside: repeat and cut, double tensors, back to NumPy at the end
def seasonal_naive(history, period, horizon):
    season = torch.tensor(history)[:, -period:]
    return season.repeat(1, horizon // period + 1)[:, :horizon].numpy()


def scaled_error(history, future, forecast, period):
    past, comes, said = (torch.tensor(one).double() for one in (history, future, forecast))
    scale = F.l1_loss(past[:, period:], past[:, :-period], reduction="none").mean(1)
    return ((said - comes).abs() / scale[:, None]).mean(0).numpy()
