# The naive forecast of the future is the unit, not that of the past.
# Input: any
def seasonal_naive(history, period, horizon):
    return np.array([[row[-period + h % period] for h in range(horizon)] for row in history])


def scaled_error(history, future, forecast, period):
    naive = seasonal_naive(history, period, future.shape[1])
    return np.abs(forecast - future).mean(axis=0) / (np.abs(naive - future).mean(axis=0) + 1e-12)
