# The old state is kept whole.
# Input: any h that is not 0
def gru_cell(x, h, W, U, b, k):
    fx,fh=(x@W.T+b).chunk(3,1),(h@U.T+k).chunk(3,1)
    r=torch.sigmoid(fx[0]+fh[0]); z=torch.sigmoid(fx[1]+fh[1]); n=torch.tanh(fx[2]+r*fh[2])
    return (1-z)*n+h
