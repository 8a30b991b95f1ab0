# recursion: the forecast goes on from itself, value by value; scaled error by plain loops over lists
def seasonal_naive(history, period, horizon):
    if horizon == 0:
        return history[:, :0]
    longer = np.hstack([history, history[:, -period, None]])
    rest = seasonal_naive(longer, period, horizon - 1)
    return np.hstack([history[:, -period, None], rest])


def scaled_error(history, future, forecast, period):
    total = [0.0] * len(future[0])
    for past, comes, said in zip(history, future, forecast):
        changes = [abs(float(past[t]) - float(past[t - period])) for t in range(period, len(past))]
        scale = sum(changes) / len(changes)
        for step, (a, b) in enumerate(zip(comes, said)):
            total[step] += abs(float(b) - float(a)) / scale / len(history)
    return np.array(total)
