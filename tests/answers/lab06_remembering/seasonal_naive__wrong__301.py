# The mean of the last two seasons; one scale for all series.
# Input: seasonal_naive(np.array([[1, 5, 3, 9]]), 2, 5)
def seasonal_naive(history, period, horizon):
    y=np.asarray(history); s=y[:,-period:]
    if y.shape[1]>=2*period: s=(s+y[:,-2*period:-period])/2
    return np.tile(s,(1,horizon//period+1))[:,:horizon]
def scaled_error(history, future, forecast, period):
    q=np.abs(history[:,period:]-history[:,:-period]).mean()
    return np.abs(forecast-future).mean(0)/q
