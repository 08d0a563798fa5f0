"""What people see while it runs and when it ends.

Its rule: it is told, or reads files, and reaches into nobody. `status` is the words of rank 0 on standard error, `failures`
those about attempts that have failed, `placement` those about who works where, and what lies idle.
`estimate` is when the run will have ended, `earlier` what earlier ones tell of it, `bar` how far it is, in one line.

Where a run stands: `snapshot` is the document that rank 0 leaves every two seconds, with what it has counted in a `tally`
and as `kinds` of failures, `slowness` of nodes, and a `crowd` of them in few; `hand` is who has the list, `situation` what
both come to, `board` how that looks, with the `lines` of its tasks, and `inquiry` is whoever asks (--status).

What happened, from the files of a list alone: `attempts` reads the joblog, `logbook` the log, and `standing` how the list
stands; `account` is what they come to. Sums of an account are `reasons` (why tasks failed), `nodes` (what each did),
`slottime` (where the time of the slots went) and `series` (what is drawn).

What to do: `advice` is the table of all that the program advises, on `facts`. Its cases are in `live`, of a farm that goes
on, and in `hindsight`, of runs that were; `allocation` says how many nodes, and for how long.

Whoever asks for a list is shown it on `stdout`: `failed` is what is not done as a task list, `show` one task, with what the
log has of it (`printed`), and `joblog` is GNU Parallel's; `original` is the list that its owner edits.
`findings` are the words and numbers of a report, `headline` those of its top (`units` puts them as people read them);
`figures` and `page` draw it, `report` writes it. Before a list is run, `checked` says what is wrong with it, and `plan` how
long it takes; `expand` prints the list that a template makes.
"""
