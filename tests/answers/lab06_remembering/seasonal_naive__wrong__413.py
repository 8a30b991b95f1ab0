# the change wraps around: np.roll compares the first season with the last
# input: period 2, history 0 0 1 1 5 5
def seasonal_naive(history, period, horizon):
    return history[:, -period:][:, np.arange(horizon) % period]


def scaled_error(history, future, forecast, period):
    scale = np.abs(history - np.roll(history, period, axis=1)).mean(axis=1, keepdims=True)
    return (np.abs(forecast - future) / scale).mean(axis=0)
