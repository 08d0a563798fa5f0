"""A rank: its loop, its messages, what it does as manager or as worker.

Its rule: an `if` about a task belongs in `schedule/`, one about a file in `journal/`; `comm` alone imports mpi4py. `farm`
is the loop, `manager` is rank 0, `worker` every other rank; `wire` are the messages, `comm` how they travel. What rank 0
has at hand: `reports` of attempts, `custody` of the list and its files, `notices` for people, the `deadline` of the job.
"""
