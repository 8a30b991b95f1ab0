# Loops over frequencies and frames, math.hypot, lists.
def spectrogram(signal, window, hop):
    x, bump = signal.tolist(), window.tolist()
    n = len(bump)
    starts = range(0, len(x) - n + 1, hop)
    rows = []
    for k in range(n // 2 + 1):
        row = []
        for s in starts:
            a = math.fsum(x[s + t] * bump[t] * math.cos(2 * math.pi * k * t / n) for t in range(n))
            b = math.fsum(x[s + t] * bump[t] * math.sin(2 * math.pi * k * t / n) for t in range(n))
            row.append(math.hypot(a, b))
        rows.append(row)
    return rows
