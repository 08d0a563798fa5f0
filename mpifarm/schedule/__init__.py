"""THE state machine: events in, actions out.

Its rule: no MPI, no file, no clock; whatever is decided about a task is decided here. `schedule` has the laws, hears what
happens and asks the others; `answers` are what comes out. `workers` are who has what, `silence` who says nothing any more.
`queue` is what waits, in its order, with `retries` that wait for another attempt, and `suspects`, tasks that may have taken
a farm with them; `dealing` is who gets how many. `judgement` says what an end or a loss means for a task, `history` is what
is remembered of one, `quarantine` judges nodes.
"""
