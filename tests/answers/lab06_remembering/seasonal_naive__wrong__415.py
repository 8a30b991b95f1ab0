# the forecast is turned into whole numbers, as in the docstring
# input: history 0.5 1.5 2.5 3.5, period 2
def seasonal_naive(history, period, horizon):
    return history[:, -period:][:, np.arange(horizon) % period].astype(int)


def scaled_error(history, future, forecast, period):
    scale = np.abs(history[:, period:] - history[:, :-period]).mean(axis=1, keepdims=True)
    return (np.abs(forecast - future) / scale).mean(axis=0)
