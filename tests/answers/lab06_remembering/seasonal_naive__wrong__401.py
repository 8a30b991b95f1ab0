# repeats the first season of the history, not the last
# input: docstring: 1, 5, 1, 5, 1
def seasonal_naive(history, period, horizon):
    return history[:, :period][:, np.arange(horizon) % period]


def scaled_error(history, future, forecast, period):
    scale = np.abs(history[:, period:] - history[:, :-period]).mean(axis=1, keepdims=True)
    return (np.abs(forecast - future) / scale).mean(axis=0)
