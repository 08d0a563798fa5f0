"""THE state machine: events in, actions out.

Its rule: no MPI, no file, no clock; whatever is decided about a task is decided here. `schedule` deals; `retries` are what
waits for another attempt, `quarantine` judges nodes, `suspects` are tasks that may have taken a farm with them.
"""
