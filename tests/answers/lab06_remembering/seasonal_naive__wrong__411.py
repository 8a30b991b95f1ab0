# only the last two seasons make the scale, right if T <= 2 m as in the docstring
# input: T 6, period 2, history 0 0 9 9 10 10
def seasonal_naive(history, period, horizon):
    return history[:, -period:][:, np.arange(horizon) % period]


def scaled_error(history, future, forecast, period):
    history = history[:, -2 * period :]
    scale = np.abs(history[:, period:] - history[:, :-period]).mean(axis=1, keepdims=True)
    return (np.abs(forecast - future) / scale).mean(axis=0)
