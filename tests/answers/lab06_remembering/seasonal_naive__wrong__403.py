# beyond one season the last value is repeated, in place of the season
# input: horizon 3, period 2, history 1 5 3 9: 3 9 9
def seasonal_naive(history, period, horizon):
    return history[:, -period:][:, np.minimum(np.arange(horizon), period - 1)]


def scaled_error(history, future, forecast, period):
    scale = np.abs(history[:, period:] - history[:, :-period]).mean(axis=1, keepdims=True)
    return (np.abs(forecast - future) / scale).mean(axis=0)
