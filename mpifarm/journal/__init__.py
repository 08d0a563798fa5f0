"""The memory: what a run leaves behind, and how the next one goes on from there.

Its rule: rank 0 alone writes, and whatever moment it is killed at, what the files say is true. `opening` opens a list as
it was `found`, after `claim` has found out whose run it is (`identity`) and `acquisition` that nobody else is its
`holder`, by a `watch` if need be; `lock` proves it from then on. `resume` says what is left, by `fastrecovery`,
`progress` and the joblog (`lines`). If the list was edited, `carrying` has them all rewritten (`rewriting`) in one `step`
before; so does `repeating`, for what is to run once more. `journal` writes, with a `warrant` for everything: the files
are called as `names` says, grow by `appender`, end as `tails` finds them; of many lines at once numbers are read by
`digits`, and written as a `table`; what it calls failed for good it takes back by
`retraction`. In words, how a list stands is in `standing`. What tasks print goes to its reader as `output`, waits for him
in `blocks`, a long one of a task that still runs in `spool`.
"""
