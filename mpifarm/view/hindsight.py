"""Advice by runs that were, or that the schedule has played: what to ask for next time. Cases of the table in `advice`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mpifarm import texts
from mpifarm.view import allocation
from mpifarm.view.allocation import Choice
from mpifarm.view.facts import Advice, Runs
from mpifarm.view.units import counted, memory, percent, time

_LEAST_NODE_KIB = 1024**2  # of memory: no node of a cluster has less
_ALL = 0.9  # of a node's memory: who had so much was alone there
_LEAST_TASKS = 10  # with fewer, numbers tell nothing


def again(runs: Runs) -> Advice | None:
    """Failed tasks, or tasks that are left, are tried by the next start."""
    if not runs.left:
        return None
    if runs.failed == runs.left:
        what = f"{counted(runs.failed, 'task')} failed: mend what {'it lacks' if runs.failed == 1 else 'they lack'} first"
    else:
        failed = f", of them {runs.failed:,} failed: mend what they lack first" if runs.failed else ""
        what = f"{counted(runs.left, 'task')} {'is' if runs.left == 1 else 'are'} not done{failed}"
    return Advice(f"python -m mpifarm {texts.quoted(runs.name)}", f"{what}; what is done is not run again")


def nodes_and_time(runs: Runs) -> Advice | None:
    """How many nodes for how long."""
    if not (runs.succeeded and runs.mean_s > 0 and runs.nodes and runs.slots):
        return None
    count = runs.left or runs.tasks
    nodes = allocation.nodes_for(count * runs.mean_s, runs.longest_s, runs.slots, runs.nodes)
    bound_s = allocation.makespan(count * runs.mean_s, runs.longest_s, nodes * runs.slots)
    rough = "" if runs.succeeded >= _LEAST_TASKS else " (rough: few have run)"
    whose = f"{counted(runs.left, 'task')} left" if runs.left else f"the list once more, {counted(runs.tasks, 'task')}"
    where = f"{counted(nodes, 'node')} x {counted(runs.slots, 'slot')}"
    length = f"{time(runs.mean_s)} in the mean, the longest {time(runs.longest_s)}"
    why = f"{whose}: {length}, so at most {time(bound_s)} on {where}{rough}; a quarter is added, and a minute to start"
    fewer = "; more nodes would wait for the longest task" if nodes < runs.nodes else ""
    return Advice(Choice(nodes, bound_s).line, f"{why}{fewer}. Rank 0 needs a node of its own, or --manager-works")


def threads_by_memory(runs: Runs) -> Advice | None:
    """Tasks that SIGKILL has ended were, as a rule, too many for the memory of their node."""
    if not runs.killed or runs.slots < 2 or runs.slots * runs.killed_kib < (runs.node_kib / 4 or _LEAST_NODE_KIB):
        return None
    killed = f"{counted(runs.killed, 'task')} ended by SIGKILL, as the kernel does when memory is short"
    halved = runs.slots // 2
    gave = f" of the {memory(runs.node_kib)} that a node gave" if runs.node_kib else ""
    largest = f"the largest had {memory(runs.killed_kib)}{gave}"
    if runs.node_kib and runs.killed_kib > _ALL * runs.node_kib:
        gib = math.ceil(2 * runs.node_kib / 1024**2)
        return Advice(f"#SBATCH --mem={gib}G", f"{killed}: {largest}: fewer at a time do not help such a task")
    return Advice(f"THREADS={halved}", f"{killed}: {halved} at a time leave each twice the memory; {largest}")


def threads_by_cpus(runs: Runs) -> Advice | None:
    """Tasks that keep several CPUs busy get in each other's way, and those that wait leave theirs to others."""
    if runs.succeeded < _LEAST_TASKS or runs.mean_s < 1 or runs.slots < 2:
        return None
    if runs.cpus >= 1.5:
        threads = max(1, round(runs.slots / runs.cpus))
        why = f"a task keeps {runs.cpus:.1f} CPUs busy: {runs.slots} at a time share what {threads} could use alone"
        return Advice(f"THREADS={threads}", why) if threads < runs.slots else None
    if runs.cpus <= 0.5 and not runs.killed:
        threads = min(2 * runs.slots, round(runs.slots / max(runs.cpus, 0.01)))
        if runs.node_kib and runs.usual_kib:
            threads = min(threads, runs.node_kib // runs.usual_kib)
        if threads <= runs.slots:
            return None
        needed = f"{threads} need {memory(runs.usual_kib * threads)} of memory{_gave(runs)}"
        return Advice(f"THREADS={threads}", f"a task keeps {percent(runs.cpus)} of a CPU busy, and waits else; {needed}")
    return None


def memory_of_a_node(runs: Runs) -> Advice | None:
    """How much memory a node has to have."""
    if runs.succeeded < _LEAST_TASKS or not runs.peak_kib:
        return None
    needed_kib = min(runs.slots * runs.peak_kib, runs.slots * runs.usual_kib + 2 * runs.peak_kib)
    gib = math.ceil(1.1 * needed_kib / 1024**2)
    each = f"95 % of the tasks need at most {memory(runs.usual_kib)}, the largest {memory(runs.peak_kib)}"
    if runs.node_kib and gib * 1024**2 > runs.node_kib:
        return Advice("#SBATCH --mem=0", f"{each}: {runs.slots} at a time may need all of a node{_gave(runs)}")
    enough = f"that is enough for {runs.slots} at a time on a node, and a tenth more{_gave(runs)}"
    return Advice(f"#SBATCH --mem={gib}G", f"{each}: {enough}")


def _gave(runs: Runs) -> str:
    return f"; a node gave {memory(runs.node_kib)}" if runs.node_kib else ""


def retries(runs: Runs) -> Advice | None:
    """Whether trying again has helped."""
    if runs.retried < _LEAST_TASKS:
        return None
    if not runs.mended:
        why = f"{counted(runs.retried, 'task')} tried again, and none has succeeded then"
        return Advice("--retries 0", f"{why}; attempts that failed took {percent(runs.failed_share)} of the slots' time")
    still = runs.retried - runs.mended
    if still and runs.mended >= still:
        why = f"of {counted(runs.retried, 'task')} tried again {runs.mended:,} have succeeded then, and {still:,} not yet"
        return Advice("--retries 5", f"{why}: what fails here is not always the task's fault")
    return None


def time_request(runs: Runs) -> Advice | None:
    """Tasks that are begun too late for the job run twice."""
    if runs.stopped_share < 0.02 or runs.usual_s < 1:
        return None
    lost = f"{percent(runs.stopped_share)} of the slots' time went into tasks that a farm's end has ended"
    return Advice(f"--time-request {math.ceil(runs.usual_s)}s", f"{lost}: 95 % of them end within that time")


def longest_first(runs: Runs) -> Advice | None:
    """A long task that is begun last holds all slots."""
    if runs.tail_share < 0.1 or runs.longest_s < 3 * runs.mean_s or runs.tasks < _LEAST_TASKS:
        return None
    idle = f"{percent(runs.tail_share)} of the slots' time was spent waiting for the last tasks"
    return Advice("put the longest tasks first in the list", f"{idle}, and the longest takes {time(runs.longest_s)}")


def slow_nodes(runs: Runs) -> Advice | None:
    """Nodes that are slower than the others."""
    if not runs.slow:
        return None
    names = ",".join(name for name, _ in runs.slow[:8])
    told = ", ".join(f"{name} {times:.1f} times" for name, times in runs.slow[:8])
    more = f" (and {len(runs.slow) - 8} more)" if len(runs.slow) > 8 else ""
    return Advice(f"#SBATCH --exclude={names}", f"tasks take longer there than on the others, in the median: {told}{more}")


# before a list is run (--check)


def how_many(choices: Sequence[Choice]) -> Advice | None:
    """How many of the nodes that were tried: as many as cost little more than the cheapest."""
    if len(choices) < 2 or not choices[0].seconds:
        return None
    best = allocation.best(choices)
    more = [one for one in choices if one.nodes > best.nodes]
    why = f"{counted(best.nodes, 'node')} for {time(best.seconds)} cost {best.node_hours:.2g} node-hours"
    beyond = (
        f"; on {counted(more[0].nodes, 'node')} they are {more[0].node_hours:.2g}, since slots would wait" if more else ""
    )
    return Advice(best.line, f"{why}{beyond}")
