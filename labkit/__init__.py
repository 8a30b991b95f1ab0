"""The helper module of the curriculum *Deep Learning Systems*. Small, flat, and built by the notebooks first.

data        data sets with a fingerprint and a datasheet
models      the few architectures that several notebooks share
gate        what training and evaluating are given: converted, or refused in one sentence
train       training one model or many replicates at once, and evaluating them
record      what the ledger holds of a training run
checkpoint  their weights in files
measure     the field's measurements of networks and representations
sweep       a grid of configurations × replicates, on all cores or a cluster
evidence    `claim` checks a statement against replicates, `predict` asks you first
ledger      the record of everything, in SQLite (its tables: schema.sql)
figures     one house style, with alt text and the numbers behind each figure

It imports none of its neighbours: `labcheck`, the labs' feedback and grader, and `audit`, what is read from the ledger
(`python -m audit`), rest on it. tools/rooms.py keeps the arrows and the sizes.

Settings come from arguments and from these environment variables alone: LABKIT_OUTPUTS (the folder that is written to),
LABKIT_DEVICE (cpu, cuda, mps), LABKIT_JOBS (processes of a sweep), LABKIT_PROGRESS (0: no progress bars),
LABKIT_NOTEBOOK (the notebook's name in the ledger), LABKIT_CLAIMS (record: claims are recorded and never stop a run;
for pilots).
"""
