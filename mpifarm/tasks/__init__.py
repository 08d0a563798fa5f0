"""The list: its lines, its records, and what in it cannot be meant.

Its rule: neither the list nor its .tfin file is ever in memory as a whole. `tasklist` is the list and the pass over it,
`scan` what that has found, `tfin` the format, `numbering` what a task is called; `walk` reads records in order and
`reader` those at known places, `offsets` are sets of tasks, `which` those that their owner names. `edits` tell what is
`kept` of a list in an edited copy of it, by the `matching` of lines of both `sides`; `changes` are what a person has
edited, and `wording` says it. `quoting` and `grammar` read a line as a shell does, `bashisms` and `foreign` know what
is another shell's or another farm's, `check` judges, `lint` tells, with the `span` of a task that goes on in the next
lines; `starters` are commands that start a step of Slurm's. All of a list is looked at by a `survey`, which is told
what it `looks` for, and gathers `faults`: it asks the shell for `syntax`, looks for what a line `calls`, and for
`repeats`.

A list may come as arguments and a `template`: `rows` of a file, `ranges` and `combinations` have `columns`, whose `values`
are put in its fields; the `expansion` of all of them is the list, `expanded` the file that is read in its place; `label` is
what a run without a file is called.
"""
