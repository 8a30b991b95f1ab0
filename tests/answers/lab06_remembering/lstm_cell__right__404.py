# columns in place of rows: everything transposed, and back at the end
def lstm_cell(x, h, c, W, U, b):
    columns = U @ h.mT + W @ x.mT + b.unsqueeze(-1)
    write, keep, candidate, show = columns.split(len(U) // 4)
    cell = keep.sigmoid() * c.mT + write.sigmoid() * candidate.tanh()
    return (show.sigmoid() * cell.tanh()).mT, cell.mT
