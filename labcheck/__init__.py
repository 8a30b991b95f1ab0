"""Feedback on answers to the labs: at once in a notebook, and for a whole course by the grader.

check        what a lab's notebook calls: `lab.check`, `lab.solved`, `progress`
exercise     exercises, and the checks that ask the learner's code
agree        a check from a table of what is right and how it is misread
draw         inputs for checks, with the cases that an author forgets
fakes        stand-ins for objects of other exercises
compare      a result against what is expected, with a diagnosis
perform      the learner's code, run so that nothing in it stops the notebook
time_limit   ends a block of code after some seconds, whatever it does
transport    values that travel between a grader and the learner's process
grade        the grader, `python -m labcheck.grade FOLDER`: the command; it starts a process for each submission
isolated     commands that no variable of the caller's leads astray
submissions  finds and reads what students handed in
grade_one    such a process: holds the checks, compares, grades its submission
sandbox      what a submission may see and use, and the process in which it runs
grade_child  that process from the inside
gradebook    writes the gradebook and the pages of feedback

It rests on labkit alone. The checks of the labs, made from their sources, are `labs/checks/`, here `labcheck.labs`.
"""
