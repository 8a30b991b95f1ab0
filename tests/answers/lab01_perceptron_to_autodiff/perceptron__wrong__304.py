# An undecided example (sum 0) is taken as the answer +1, so for the label +1 it is not counted or corrected.
def perceptron(inputs, labels, epochs=100):
    weights = np.zeros(inputs.shape[1])
    bias = 0.0
    history = []

    predict_one = lambda x: 1 if np.dot(weights, x) + bias >= 0 else -1

    for _ in range(epochs):
        errors = 0
        for x, target in zip(inputs, labels):
            prediction = predict_one(x)
            if prediction != target:
                weights += target * x
                bias += target
                errors += 1
        history.append(errors)
        if errors == 0:
            break
    return weights, bias, history
