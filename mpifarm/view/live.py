"""Advice on a farm that starts, runs or has just ended: cases of the table in `advice`, which says what a case is.

Of those at the end the first one that applies is said, and no other: it is what to type next.
"""

from __future__ import annotations

import math

from mpifarm import texts
from mpifarm.launcher.frames import SHELL
from mpifarm.view import allocation
from mpifarm.view.allocation import Choice
from mpifarm.view.facts import Advice, Alike, Bound, Crowd, End, Fewer, Gone, Late, Room, Start, Stop
from mpifarm.view.units import counted, limit, memory, time
from mpifarm.words import duration

_LEAST_TASKS = 10  # with fewer, numbers tell nothing
_FAR_ABOVE = 2  # slots for a CPU
_MANY_SLOTS = 8  # of a node, for threads of its tasks to be in each other's way
_NODE_SHARE = 0.9  # of a node's memory that tasks may take: the system needs some, too
_LATE_SPARE, _LATE_START_S = 1.1, 60.0  # of a time that would have been enough: that is an estimate, with a range

# at the start: how the ranks stand


def rank_on_each(start: Start) -> Advice | None:
    """Nodes of the job have no rank."""
    if start.used >= start.job_nodes:
        return None
    why = f"the job has {counted(start.job_nodes, 'node')} and {start.used:,} in use, start one rank on each"
    return Advice(f"srun -N {start.job_nodes}", why)


def one_worker_each(start: Start) -> Advice | None:
    """Workers share a node of a job."""
    if not start.job_nodes or start.sharing < 2:
        return None
    return Advice(
        "srun --ntasks-per-node=1", f"{counted(start.sharing, 'worker')} share node {start.shared}, one is enough"
    )


def manager_idle(start: Start) -> Advice | None:
    """Nothing runs on the node of rank 0."""
    if not start.manager:
        return None
    why = f"{start.manager}: manager, runs nothing here; to use its {counted(start.manager_cpus, 'CPU')}, too"
    return Advice("--manager-works", why)


def threads_of_tasks(start: Start) -> Advice | None:
    """Each of many tasks would take all CPUs of its node for its threads."""
    if start.threads_set or start.slots < _MANY_SLOTS or start.seen_cpus < 2:
        return None
    takes = f"a task that uses threads takes all {start.seen_cpus} CPUs, and {start.slots} run at a time"
    return Advice(f"export OMP_NUM_THREADS={start.slot_cpus}", f"OMP_NUM_THREADS is not set, {takes}")


def cpus_of_a_worker(bound: Bound) -> Advice | None:
    """A worker has fewer CPUs than its tasks need."""
    of = f"{bound.cpus} of {counted(bound.theirs, 'CPU')}"
    line = f"srun -c {bound.theirs}" if bound.in_job else "mpiexec --bind-to none"
    wanted = min(bound.theirs, bound.slots) if bound.asked_slots else bound.theirs
    if bound.usable < wanted:
        return Advice(line, f"{bound.usable} of {counted(bound.theirs, 'CPU')}")
    if bound.cpus < min(bound.slots, bound.usable):
        return Advice(line, f"bound to {of}, its tasks may use all; without the binding")
    if bound.cpus < wanted:
        return Advice(f"{line}, or THREADS={bound.theirs}", f"bound to {of}, for {counted(bound.slots, 'slot')}")
    if bound.in_job and not (bound.asked_cpus or bound.asked_slots) and bound.usable == 1 < bound.node_cpus:
        flag = f"-c {bound.node_cpus}"  # the job has no more of the node, since nobody has asked for it
        return Advice(f"srun {flag}, and #SBATCH {flag} in a batch script", f"1 of {bound.node_cpus} CPUs")
    return None


def quota_of_time(fewer: Fewer) -> Advice | None:
    """A container is given the time of fewer CPUs than it sees."""
    if fewer.quota >= fewer.cpus:
        return None
    allowed = f"the container is given the time of {fewer.quota} of {fewer.cpus} CPUs"
    return Advice("give --threads for more", f"{fewer.node}: {allowed}, and runs as many tasks at a time")


def descriptors(fewer: Fewer) -> Advice | None:
    """There are too few descriptors for as many slots as were asked for."""
    if fewer.slots >= fewer.wanted:
        return None
    why = f"{counted(fewer.slots, 'task')} at a time and not {fewer.wanted:,}, for want of descriptors"
    return Advice("raise ulimit -n", f"{fewer.node}: {why}")


def crowded(crowd: Crowd) -> Advice | None:
    """A node was given many more slots than it has CPUs: tasks that wait may want them."""
    if crowd.slots <= _FAR_ABOVE * crowd.cpus:
        return None
    why = f"{counted(crowd.slots, 'slot')} on {counted(crowd.cpus, 'CPU')}, which is slower unless the tasks mostly wait"
    return Advice(f"THREADS={max(1, crowd.cpus // crowd.workers)}", why)


# while it runs


_ASKED = {
    "exit code 127": "is the program there, and found, on every node?",
    "exit code 126": "may the program be executed, and is it built for these nodes?",
    "timed out": "is --timeout long enough?",
    "not started": f"can {SHELL} be started on every node?",
}


def all_alike(alike: Alike) -> Advice:
    """Whatever was tried has failed in one way: it is hardly the tasks."""
    how = f'{alike.how}, "{alike.last}"' if alike.last else alike.how
    stop = "Stop (Ctrl-C, or scancel), mend that or the list, and start again;"
    by_itself = f"{stop} --max-fails 0 would stop at the first task that has failed for good"
    if alike.max_fails:
        by_itself = f"--max-fails {alike.max_fails} will stop this run; mend that or the list, and start again"
    asked = _ASKED.get(alike.how, "try one of them by hand.")
    return Advice(f"{asked} {by_itself}", f"ALL of the first {alike.attempts:,} attempts have failed alike ({how})")


def more_time(late: Late) -> Advice | None:
    """The job ends before the tasks."""
    if late.last_s <= late.job_s:
        return None
    needed = limit(late.needed_s * _LATE_SPARE + _LATE_START_S)
    if not late.in_job:
        return Advice(f"--walltime {needed}", f"{late.told}; enough would have been")
    more = math.ceil(late.nodes * late.last_s / max(1.0, late.job_s))
    helps = late.nodes < more <= late.nodes * max(1, late.waiting // late.slots)  # no task runs on two nodes
    return Advice(f"-N {more}, or -t {needed}" if helps else f"-t {needed}", f"{late.told}; enough would have been")


def slots_by_memory(room: Room) -> Advice | None:
    """The memory of a node is too small for so many tasks, or would do for all of its CPUs."""
    fit = fitting(room)
    if fit is None:
        return None
    if fit < room.slots:
        short = f"{counted(room.slots, 'slot')} of the largest would take {memory(room.slots * room.peak_kib)}"
        return Advice(f"THREADS={max(1, fit)}", f"{short}, too much")
    if room.slots < min(fit, room.cpus):
        idle = f"there are {counted(room.cpus, 'CPU')} for {counted(room.slots, 'slot')}"
        return Advice(f"THREADS={min(fit, room.cpus)}", idle)
    return None


def fitting(room: Room) -> int | None:
    """Return how many tasks fit into the memory of a node, all as large as the largest; None if that is not known."""
    if not room.node_kib or not room.peak_kib or room.ended < max(_LEAST_TASKS, room.slots):
        return None
    return int(_NODE_SHARE * room.node_kib / room.peak_kib)


def gone(manager: Gone) -> Advice:
    """Nobody runs the list any more, and its manager has not said why."""
    job = f", job {manager.job}" if manager.job else ""
    known = f" ({manager.known})" if manager.known else ""
    who = f"the manager, process {manager.pid} on {manager.host}{job}"
    return Advice("start again to go on", f"{who}, is silent for {duration(manager.silent_s)}{known}")


# at the end: what to type next


def elsewhere(end: End) -> Advice | None:
    """No node could run anything: nor will they the next time."""
    if end.stop is not Stop.NO_WORKER:
        return None
    return Advice("mend that, or start elsewhere", "as things are, another start would end like this one")


def longer_job(end: End) -> Advice | None:
    """The job was too short to get anywhere."""
    if end.stop is not Stop.TOO_SHORT:
        return None
    twice = allocation.spared(2 * max(end.ran_s, end.longest_s))
    why = "nothing was finished in this job, and nothing begun that an earlier one had not begun: starting again does not"
    return Advice(f"#SBATCH -t {twice}" if end.in_job else f"--walltime {twice}", f"{why} help, ask for a longer job")


def mend(end: End) -> Advice | None:
    """Tasks have failed, and nothing else has stopped the run."""
    if not end.failed or end.stop not in (Stop.NOTHING, Stop.MAX_FAILS):
        return None
    why = f"{end.log} says why: mend that, and {_same(end)}; or make a list of what is not done"
    return Advice(f"{end.program} --failed {texts.quoted(end.name)} > {texts.quoted(end.fresh)}", why)


def repair(end: End) -> Advice | None:
    """It could not be read or written."""
    if end.stop is not Stop.TROUBLE:
        return None
    return Advice(
        f"mend that, and {_same(end)}",
        f"{_left(end)}; what is done is not run again" if end.left or end.failed else "all is done, and not all is written",
    )


def another_job(end: End) -> Advice | None:
    """The end of a job of Slurm's has stopped it: what is left takes so long."""
    needed = _needed(end)
    if end.stop is not Stop.LIMIT or not end.in_job or not needed:
        return None
    nodes, seconds = needed
    where = f"{counted(nodes, 'node')} x {counted(end.slots, 'slot')}"
    why = f"{_left(end)}: {_same(end)}; that takes at most {time(seconds)} on {where}"
    return Advice(Choice(nodes + end.idle_nodes, seconds).line, f"{why}; a quarter is added, and a minute to start")


def go_on(end: End) -> Advice | None:
    """Work is left."""
    if not end.left and not end.failed:
        return None
    needed = _needed(end) if end.stop is Stop.LIMIT else None
    takes = f", which take{'s' if end.left + end.failed == 1 else ''} at most {time(needed[1])}" if needed else ""
    return Advice(end.line or _same(end), f"{_left(end)}{takes}; what is done is not run again")


def _same(end: End) -> str:
    return f"start the same line again{f', without {end.once}' if end.once else ''}"


def _left(end: End) -> str:
    count = end.left + end.failed
    failed = f", {end.failed:,} of which failed (see {end.log})" if end.failed else ""
    return f"{counted(count, 'task')} {'is' if count == 1 else 'are'} left{failed}"


def _needed(end: End) -> tuple[int, float] | None:
    """Return on how many nodes, without that of rank 0, what is left takes at most how long; None if that is not known."""
    if end.ended < _LEAST_TASKS or not (end.nodes and end.slots and end.mean_s > 0):
        return None
    work_s = (end.left + end.failed) * end.mean_s
    nodes = allocation.nodes_for(work_s, end.longest_s, end.slots, end.nodes)
    return nodes, allocation.makespan(work_s, end.longest_s, nodes * end.slots)
