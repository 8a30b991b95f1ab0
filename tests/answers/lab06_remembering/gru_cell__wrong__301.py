# U meets h without being transposed.
# Input: any d > 1
def gru_cell(x, h, W, U, b, k):
    d=h.shape[1]
    fx=[x@W[j*d:(j+1)*d].T+b[j*d:(j+1)*d] for j in range(3)]
    fh=[h@U[j*d:(j+1)*d]+k[j*d:(j+1)*d] for j in range(3)]
    r=torch.sigmoid(fx[0]+fh[0]); z=torch.sigmoid(fx[1]+fh[1]); n=torch.tanh(fx[2]+r*fh[2])
    return (1-z)*n+z*h
