# The mean of the rows: one new state for all.
# Input: any n > 1
def gru_cell(x, h, W, U, b, k):
    new = torch.gru_cell(x, h, W, U, b, k)
    return new.mean(0, keepdim=True).expand_as(new)
