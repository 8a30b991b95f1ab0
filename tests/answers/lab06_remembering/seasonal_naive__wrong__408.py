# the mean over horizons, one number a series
# input: n 2, horizon 3: shape [2]
def seasonal_naive(history, period, horizon):
    return history[:, -period:][:, np.arange(horizon) % period]


def scaled_error(history, future, forecast, period):
    scale = np.abs(history[:, period:] - history[:, :-period]).mean(axis=1, keepdims=True)
    return (np.abs(forecast - future) / scale).mean(axis=1)
