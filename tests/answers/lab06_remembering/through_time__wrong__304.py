# Signals are kept in a default argument, from call to call.
# Input: the second call of any
def through_time(inputs, w, u, target, kept=[]):
    states=[0.0]
    for x in inputs: states.append(math.tanh(w*states[-1]+u*x))
    T=len(inputs); d=states[-1]-target; a=b=0.0
    for t in range(T,0,-1):
        kept.insert(0,d)
        g=d*(1-states[t]**2); a+=g*states[t-1]; b+=g*inputs[t-1]; d=g*w
    return np.array(kept),a,b
