"""Every piece of advice that the program gives on what to ask for next time: a table of cases, and their data.

The rule: a case is a pure function of the facts, which are numbers of runs that were. It says nothing unless the numbers
call for it, and it says which numbers do. What a user may copy is a line of its own; the reason is a sentence.

The time to ask for is Graham's bound for list scheduling: on m slots no order takes longer than work / m + (1 - 1/m) x the
longest task. (R. L. Graham, Bounds on multiprocessing timing anomalies, 1969.)
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mpifarm.tasks.faults import Fault
from mpifarm.view.units import counted, limit, memory, percent, time

_SPARE = 1.25  # of the bound, since the next tasks may be longer than those before
_START_S = 60.0  # of a job, and the margin at its end
_LEAST_NODE_KIB = 1024**2  # of memory: no node of a cluster has less
_ALL = 0.9  # of a node's memory: who had so much was alone there
_DEAR = 1.15  # times the fewest node-hours
_LEAST_TASKS = 10  # with fewer, numbers tell nothing


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the runs of a list. Shares are of the slots' time, 0 to 1."""

    name: str  # of the list
    tasks: int
    left: int  # not done
    failed: int  # of them, whose last attempt has failed
    succeeded: int  # attempts that the numbers below are of
    mean_s: float
    usual_s: float  # 95 % take no longer
    longest_s: float
    nodes: int  # that ran tasks
    slots: int  # a node
    cpus: float  # busy ones a task, in the mean
    peak_kib: int  # largest memory of an attempt
    usual_kib: int  # 95 % need no more
    killed: int  # tasks that SIGKILL has ended, and that are not done
    killed_kib: int  # largest memory of them
    retried: int  # tasks that have failed and were tried again
    mended: int  # of them, that have succeeded then
    node_kib: int = 0  # memory that a node gave to its tasks, the least where they differ; 0: not known
    failed_share: float = 0.0
    stopped_share: float = 0.0  # was lost with what the end of a farm has ended
    tail_share: float = 0.0  # nothing to do any more, while the last tasks ran
    slow: tuple[tuple[str, float], ...] = ()  # nodes, and how many times as long as on the others their tasks take


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do, to be copied, and why."""

    line: str
    why: str


Case = Callable[[Facts], Advice | None]


def advise(facts: Facts) -> list[Advice]:
    """Return what the facts call for, the most important first."""
    return [advice for case in CASES if (advice := case(facts))]


def again(facts: Facts) -> Advice | None:
    """Failed tasks, or tasks that are left, are tried by the next start."""
    if not facts.left:
        return None
    if facts.failed == facts.left:
        what = f"{counted(facts.failed, 'task')} failed: mend what {'it lacks' if facts.failed == 1 else 'they lack'} first"
    else:
        failed = f", of them {facts.failed:,} failed: mend what they lack first" if facts.failed else ""
        what = f"{counted(facts.left, 'task')} {'is' if facts.left == 1 else 'are'} not done{failed}"
    return Advice(f"python -m mpifarm {shlex.quote(facts.name)}", f"{what}; what is done is not run again")


def nodes_and_time(facts: Facts) -> Advice | None:
    """How many nodes for how long."""
    if not (facts.succeeded and facts.mean_s > 0 and facts.nodes and facts.slots):
        return None
    count = facts.left or facts.tasks
    nodes = nodes_for(count * facts.mean_s, facts.longest_s, facts.slots, facts.nodes)
    bound_s = makespan(count * facts.mean_s, facts.longest_s, nodes * facts.slots)
    asked_s = _rounded(_SPARE * bound_s + _START_S)
    rough = "" if facts.succeeded >= _LEAST_TASKS else " (rough: few have run)"
    whose = f"{counted(facts.left, 'task')} left" if facts.left else f"the list once more, {counted(facts.tasks, 'task')}"
    where = f"{counted(nodes, 'node')} x {counted(facts.slots, 'slot')}"
    length = f"{time(facts.mean_s)} in the mean, the longest {time(facts.longest_s)}"
    why = f"{whose}: {length}, so at most {time(bound_s)} on {where}{rough}; a quarter is added, and a minute to start"
    fewer = "; more nodes would wait for the longest task" if nodes < facts.nodes else ""
    return Advice(
        f"#SBATCH -N {nodes} -t {limit(asked_s)}", f"{why}{fewer}. Rank 0 needs a node of its own, or --manager-works"
    )


def nodes_for(work_s: float, longest_s: float, slots: int, most: int) -> int:
    """Return on how many nodes, *most* at the most, the work takes no less time than its longest task."""
    return max(1, min(most, int(work_s / (slots * longest_s)) if longest_s > 0 else most))


def makespan(work_s: float, longest_s: float, slots: int) -> float:
    """Return the time that no order of the tasks takes longer than."""
    return work_s / slots + longest_s * (1 - 1 / slots)


def _rounded(seconds: float) -> float:
    """Return the next time that somebody would write into a batch script."""
    step = next(step for below, step in ((3600, 300), (6 * 3600, 900), (math.inf, 3600)) if seconds <= below)
    return math.ceil(seconds / step) * step


def threads_by_memory(facts: Facts) -> Advice | None:
    """Tasks that SIGKILL has ended were, as a rule, too many for the memory of their node."""
    if not facts.killed or facts.slots < 2 or facts.slots * facts.killed_kib < (facts.node_kib / 4 or _LEAST_NODE_KIB):
        return None
    killed = f"{counted(facts.killed, 'task')} ended by SIGKILL, as the kernel does when memory is short"
    halved = facts.slots // 2
    gave = f" of the {memory(facts.node_kib)} that a node gave" if facts.node_kib else ""
    largest = f"the largest had {memory(facts.killed_kib)}{gave}"
    if facts.node_kib and facts.killed_kib > _ALL * facts.node_kib:
        gib = math.ceil(2 * facts.node_kib / 1024**2)
        return Advice(f"#SBATCH --mem={gib}G", f"{killed}: {largest}: fewer at a time do not help such a task")
    return Advice(f"THREADS={halved}", f"{killed}: {halved} at a time leave each twice the memory; {largest}")


def threads_by_cpus(facts: Facts) -> Advice | None:
    """Tasks that keep several CPUs busy get in each other's way, and those that wait leave theirs to others."""
    if facts.succeeded < _LEAST_TASKS or facts.mean_s < 1 or facts.slots < 2:
        return None
    if facts.cpus >= 1.5:
        threads = max(1, round(facts.slots / facts.cpus))
        why = f"a task keeps {facts.cpus:.1f} CPUs busy: {facts.slots} at a time share what {threads} could use alone"
        return Advice(f"THREADS={threads}", why) if threads < facts.slots else None
    if facts.cpus <= 0.5 and not facts.killed:
        threads = min(2 * facts.slots, round(facts.slots / max(facts.cpus, 0.01)))
        if facts.node_kib and facts.usual_kib:
            threads = min(threads, facts.node_kib // facts.usual_kib)
        if threads <= facts.slots:
            return None
        needed = f"{threads} need {memory(facts.usual_kib * threads)} of memory{_gave(facts)}"
        return Advice(f"THREADS={threads}", f"a task keeps {percent(facts.cpus)} of a CPU busy, and waits else; {needed}")
    return None


def memory_of_a_node(facts: Facts) -> Advice | None:
    """How much memory a node has to have."""
    if facts.succeeded < _LEAST_TASKS or not facts.peak_kib:
        return None
    needed_kib = min(facts.slots * facts.peak_kib, facts.slots * facts.usual_kib + 2 * facts.peak_kib)
    gib = math.ceil(1.1 * needed_kib / 1024**2)
    each = f"95 % of the tasks need at most {memory(facts.usual_kib)}, the largest {memory(facts.peak_kib)}"
    if facts.node_kib and gib * 1024**2 > facts.node_kib:
        return Advice("#SBATCH --mem=0", f"{each}: {facts.slots} at a time may need all of a node{_gave(facts)}")
    enough = f"that is enough for {facts.slots} at a time on a node, and a tenth more{_gave(facts)}"
    return Advice(f"#SBATCH --mem={gib}G", f"{each}: {enough}")


def _gave(facts: Facts) -> str:
    return f"; a node gave {memory(facts.node_kib)}" if facts.node_kib else ""


def retries(facts: Facts) -> Advice | None:
    """Whether trying again has helped."""
    if facts.retried < _LEAST_TASKS:
        return None
    if not facts.mended:
        why = f"{counted(facts.retried, 'task')} tried again, and none has succeeded then"
        return Advice("--retries 0", f"{why}; attempts that failed took {percent(facts.failed_share)} of the slots' time")
    still = facts.retried - facts.mended
    if still and facts.mended >= still:
        why = f"of {counted(facts.retried, 'task')} tried again {facts.mended:,} have succeeded then, and {still:,} not yet"
        return Advice("--retries 5", f"{why}: what fails here is not always the task's fault")
    return None


def time_request(facts: Facts) -> Advice | None:
    """Tasks that are begun too late for the job run twice."""
    if facts.stopped_share < 0.02 or facts.usual_s < 1:
        return None
    lost = f"{percent(facts.stopped_share)} of the slots' time went into tasks that a farm's end has ended"
    return Advice(f"--time-request {math.ceil(facts.usual_s)}s", f"{lost}: 95 % of them end within that time")


def longest_first(facts: Facts) -> Advice | None:
    """A long task that is begun last holds all slots."""
    if facts.tail_share < 0.1 or facts.longest_s < 3 * facts.mean_s or facts.tasks < _LEAST_TASKS:
        return None
    idle = f"{percent(facts.tail_share)} of the slots' time was spent waiting for the last tasks"
    return Advice("put the longest tasks first in the list", f"{idle}, and the longest takes {time(facts.longest_s)}")


def slow_nodes(facts: Facts) -> Advice | None:
    """Nodes that are slower than the others."""
    if not facts.slow:
        return None
    names = ",".join(name for name, _ in facts.slow[:8])
    told = ", ".join(f"{name} {times:.1f} times" for name, times in facts.slow[:8])
    more = f" (and {len(facts.slow) - 8} more)" if len(facts.slow) > 8 else ""
    return Advice(f"#SBATCH --exclude={names}", f"tasks take longer there than on the others, in the median: {told}{more}")


@dataclass(frozen=True, slots=True)
class Choice:
    """What a number of nodes would take, by the schedule."""

    nodes: int
    seconds: float

    @property
    def node_hours(self) -> float:
        """What that costs."""
        return self.nodes * self.seconds / 3600


def batch_lines(choice: Choice) -> str:
    """Return the lines of a batch script that ask for it."""
    return f"#SBATCH -N {choice.nodes} -t {limit(_rounded(_SPARE * choice.seconds + _START_S))}"


def how_many(choices: Sequence[Choice]) -> Advice | None:
    """How many of the nodes that were tried: as many as cost little more than the cheapest."""
    if len(choices) < 2 or not choices[0].seconds:
        return None
    least = min(choice.node_hours for choice in choices)
    best = max((one for one in choices if one.node_hours <= _DEAR * least), key=lambda one: one.nodes)
    more = [one for one in choices if one.nodes > best.nodes]
    why = f"{counted(best.nodes, 'node')} for {time(best.seconds)} cost {best.node_hours:.2g} node-hours"
    beyond = (
        f"; on {counted(more[0].nodes, 'node')} they are {more[0].node_hours:.2g}, since slots would wait" if more else ""
    )
    return Advice(batch_lines(best), f"{why}{beyond}")


# What to do about lines that are odd, or refused: `check` has said of some what is to be written instead.
LINES = {
    Fault.SYNTAX: "the shell does not run such a line: each of its attempts would fail",
    Fault.PROGRAM: "mend the name, chmod +x it, or load its module before the farm; what only the job's nodes have is well",
    Fault.STEP: "the scripts in slurm/ start the farm so",
    Fault.ONE_FILE: "they run beside each other: write out.$MPIFARM_SEQ, >> to add, or print, and give --output",
    Fault.EQUAL: "each of them is a task, and runs",
    Fault.LINE_END: "tr -d '\\r' < LIST > new.txt takes them out",
}


CASES: tuple[Case, ...] = (
    again,
    nodes_and_time,
    threads_by_memory,
    threads_by_cpus,
    memory_of_a_node,
    retries,
    time_request,
    longest_first,
    slow_nodes,
)
