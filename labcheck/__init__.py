"""Feedback on answers to the labs: at once in a notebook, and for a whole course by the grader.

check        what a lab's notebook calls: `lab.check`, `lab.solved`, `progress`
exercise     exercises, and the checks that ask the learner's code
compare      a result against what is expected, with a diagnosis
perform      the learner's code, run so that nothing in it stops the notebook
transport    values that travel between a grader and the learner's process
grade        the grader, `python -m labcheck.grade FOLDER`: the command; it starts workers side by side
isolated     commands that no variable of the caller's leads astray
submissions  finds and reads what students handed in
grade_one    a worker: holds the checks, compares, grades one submission after another
children     the processes in which the learner's code runs, with their limits
processes    finds, measures and ends processes
grade_child  such a process from the inside
gradebook    writes the gradebook and the pages of feedback

It rests on labkit alone. The checks of the labs, made from their sources, are `labs/checks/`, here `labcheck.labs`.
"""
