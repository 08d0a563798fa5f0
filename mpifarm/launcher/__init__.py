"""Tasks as processes: started, timed out, reaped, killed, and what they print.

Its rule: the standard library alone, and no MPI, for a helper is forked before either exists. `launcher` is the rank's end
and `helper` the process at the other, which has `slots` for tasks, each a `slot`; `frames` is what the two say. `guardian`
is there when one of them is not, with `patience`. How a task starts: `spawn`, `direct`, `programs`, `functions`,
`scarcity`; what it prints: `capture`, `outbox`; how it ends: `deadlines`, `termination`, `outcome`; which processes are its
own: `processes`, `strays`; why it has failed: `why`, which sends a `scout`, and `space`. What is run when all is
over: `on_end`.
"""
