# The error of each series, not of each horizon.
# Input: two series and three horizons
def seasonal_naive(history, period, horizon):
    return np.array([[row[-period + h % period] for h in range(horizon)] for row in history])


def scaled_error(history, future, forecast, period):
    scale = np.abs(history[:, period:] - history[:, :-period]).mean(axis=1)
    return np.abs(forecast - future).mean(axis=1) / scale
