"""Every piece of advice that the program gives: the table of its cases.

The rule: a case is a pure function of `facts`: those of a farm that goes on are in `live`, those of runs that were in
`hindsight`, and all of them in the table below. A case says nothing unless the numbers call for it, and it says which
numbers do. What a user may copy is a line of its own; the reason is a sentence. Nobody else in the wings that speak of runs
(`view`, `ranks`) tells anybody which option, variable or command to try: `tests/view/test_advice.py` looks.

What is no advice: that a start is *refused*, or a line of the list *remarked upon*. Such a message says what is wrong there
and which ways out there are, and stands where that is found (`tasks.check` and `lint`, `journal`, `config`, a FarmError
anywhere); what --check adds to a kind of remark is here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from mpifarm.tasks.faults import Fault
from mpifarm.view import hindsight, live
from mpifarm.view.facts import Advice

F = TypeVar("F")

# On which occasion which cases are asked, the most important first.
AT_START = (live.rank_on_each, live.one_worker_each, live.manager_idle)
OF_TASKS = (live.threads_of_tasks,)  # of a start, said behind what is said of its nodes
OF_A_WORKER = (live.cpus_of_a_worker,)
OF_SLOTS = (live.quota_of_time, live.descriptors)
OF_A_NODE = (live.crowded,)
WHEN_ALL_FAIL = (live.all_alike,)
NEAR_THE_LIMIT = (live.more_time,)
OF_MEMORY = (live.slots_by_memory,)
AT_END = (live.elsewhere, live.longer_job, live.mend, live.repair, live.another_job, live.go_on)
WHEN_GONE = (live.gone,)
NEXT_TIME = (
    hindsight.again,
    hindsight.nodes_and_time,
    hindsight.threads_by_memory,
    hindsight.threads_by_cpus,
    hindsight.memory_of_a_node,
    hindsight.retries,
    hindsight.time_request,
    hindsight.longest_first,
    hindsight.slow_nodes,
)
OF_A_PLAN = (hindsight.how_many,)

TABLE: Mapping[str, Sequence[Callable[..., Advice | None]]] = {
    "the start": (*AT_START, *OF_TASKS),
    "a worker at the start": OF_A_WORKER,
    "slots of a worker": OF_SLOTS,
    "a node at the start": OF_A_NODE,
    "all attempts fail alike": WHEN_ALL_FAIL,
    "the job ends before the tasks": NEAR_THE_LIMIT,
    "memory of the tasks": OF_MEMORY,
    "the end": AT_END,
    "the manager of a run is gone": WHEN_GONE,
    "the report": NEXT_TIME,
    "--check, with times": OF_A_PLAN,
}

# What to do about lines that are odd, or refused: `check` has said of some what is to be written instead.
LINES = {
    Fault.SYNTAX: "the shell does not run such a line: each of its attempts would fail",
    Fault.PROGRAM: "mend the name, chmod +x it, or load its module before the farm; what only the job's nodes have is well",
    Fault.STEP: "the scripts in slurm/ start the farm so",
    Fault.ONE_FILE: "they run beside each other: write out.$MPIFARM_SEQ, >> to add, or print, and give --output",
    Fault.EQUAL: "each of them is a task, and runs",
    Fault.LINE_END: "tr -d '\\r' < LIST > new.txt takes them out",
}

# What a plan of --check rests on.
PLANNED = "rank 0 runs tasks, too (--manager-works, as in slurm/*.sbatch); without it ask for a node more"


def advise(cases: Sequence[Callable[[F], Advice | None]], facts: F) -> list[Advice]:
    """Return what the facts call for, the most important first."""
    return [advice for case in cases if (advice := case(facts))]


def first(cases: Sequence[Callable[[F], Advice | None]], facts: F) -> Advice | None:
    """Return the most important of what the facts call for; None if that is nothing."""
    return next((advice for case in cases if (advice := case(facts))), None)
