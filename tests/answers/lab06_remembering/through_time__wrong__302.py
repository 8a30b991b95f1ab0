# Each state is compared with the target, not the last alone.
# Input: through_time(np.array([1.0, 0.0]), 0.5, 1.0, 0.0)
def through_time(inputs, w, u, target):
    states=[0.0]
    for x in inputs: states.append(math.tanh(w*states[-1]+u*x))
    T=len(inputs); s=np.zeros(T); d=0; a=b=0.0
    for t in range(T,0,-1):
        d+=states[t]-target; s[t-1]=d
        g=d*(1-states[t]**2); a+=g*states[t-1]; b+=g*inputs[t-1]; d=g*w
    return s,a,b
