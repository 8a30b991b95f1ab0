# The chain stops three steps before the end.
# Input: through_time(np.ones(5), 0.5, 1.0, 0.0)
def through_time(inputs, w, u, target):
    states=[0.0]
    for x in inputs: states.append(math.tanh(w*states[-1]+u*x))
    T=len(inputs); s=np.zeros(T); s[-1]=states[-1]-target; a=b=0.0
    for t in range(T,max(0,T-3),-1):
        g=s[t-1]*(1-states[t]**2); a+=g*states[t-1]; b+=g*inputs[t-1]
        if t>1: s[t-2]=g*w
    return s,a,b
