"""A rank: its loop, its messages, what it does as manager or as worker.

Its rule: an `if` about a task belongs in `schedule/`, one about a file in `journal/`; `comm` alone imports mpi4py. `farm`
is one rank from its start to its end: its `loop`, its `backoff` when nothing happens, what it is told by `signals`, and
the `leaving` of all. `wire` are the messages, `comm` how they travel. `manager` is rank 0, with `reports` of attempts and
`interruptions`, `custody` of the list and its files, `notices` for people, with the `pace` and the `suspicions` that they
tell of, the `alarm` at the first failures, the `deadline` of the job, the `ending` of the run, its `parting`, `patience`
with who reads, and a `witness` for whoever asks where it stands; `pace` and `witness` know the `seniors` among the tasks.
`worker` is every other rank, with its `credit`, tasks that it could not read yet (`unread`), and `doubt` about ends.
"""
