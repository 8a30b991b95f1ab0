# a filled array, season by season; scale by an average of np.diff over months of the same name
def seasonal_naive(history, period, horizon):
    made = np.empty((history.shape[0], horizon), dtype=history.dtype)
    for start in range(0, horizon, period):
        width = min(period, horizon - start)
        made[:, start : start + width] = history[:, history.shape[1] - period :][:, :width]
    return made


def scaled_error(history, future, forecast, period):
    scale = np.zeros(len(history))
    for month in range(period):
        scale += np.abs(np.diff(history[:, month::period], axis=1)).sum(axis=1)
    scale /= history.shape[1] - period
    return np.average(np.abs(forecast / scale[:, None] - future / scale[:, None]), axis=0)
