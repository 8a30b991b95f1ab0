"""What is read from the ledger when a person has to decide: `python -m audit`. It rests on labkit alone.

report       what the ledger holds, and whether it can be relied on
governance   documents for a release: facts that name their rows, memo, model card, datasheet, risk register
"""
