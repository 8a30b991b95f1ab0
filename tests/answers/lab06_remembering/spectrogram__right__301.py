# Frame by frame with NumPy's full transform.
def spectrogram(signal, window, hop):
    x, bump = np.asarray(signal, float), np.asarray(window, float)
    columns = []
    for start in range(0, len(x) - len(bump) + 1, hop):
        columns.append(np.abs(np.fft.fft(x[start : start + len(bump)] * bump))[: len(bump) // 2 + 1])
    return np.stack(columns, axis=1)
