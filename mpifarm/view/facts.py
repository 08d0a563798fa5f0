"""What advice is given on, the numbers of a start, of a farm that runs, of its end, of all runs that were; and advice.

The rule: these are numbers and names, put together by whoever has them, and nothing is made of them here. Names of nodes
and what tasks have printed are fit to be shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do, to be copied, and why."""

    line: str
    why: str

    @property
    def said(self) -> str:
        """Both, as one sentence."""
        return f"{self.why}: {self.line}"


@dataclass(frozen=True, slots=True)
class Start:
    """How the ranks of a farm stand on the nodes that it was given."""

    job_nodes: int  # 0: there is no job
    used: int  # nodes that have a rank
    shared: str = ""  # a node that has several workers
    sharing: int = 0  # how many
    manager: str = ""  # the node of rank 0, if nothing runs there
    manager_cpus: int = 0
    slots: int = 0  # of the widest node
    slot_cpus: int = 0  # CPUs of one of these
    seen_cpus: int = 0  # that each task there may use
    threads_set: bool = False  # some variable says how many threads a task starts


@dataclass(frozen=True, slots=True)
class Bound:
    """Which CPUs a worker has of its node."""

    slots: int
    cpus: int  # it is bound to so many
    usable: int  # the job allows it so many
    theirs: int  # the job has so many there
    node_cpus: int  # the machine has so many
    asked_slots: bool  # somebody has said how many slots
    in_job: bool
    asked_cpus: bool  # the step was given -c


@dataclass(frozen=True, slots=True)
class Fewer:
    """How many slots a worker makes, and why not more."""

    node: str
    cpus: int  # of the worker
    quota: int  # of them, whose time its container is given, if it counts CPUs
    wanted: int
    slots: int


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many slots a node was given on purpose."""

    slots: int
    cpus: int
    workers: int


@dataclass(frozen=True, slots=True)
class Alike:
    """All attempts so far have failed in one way."""

    attempts: int
    how: str  # exit code 127, killed by SIGSEGV, timed out
    last: str  # their last line on standard error; empty if there is none
    max_fails: str = ""  # as it was given


@dataclass(frozen=True, slots=True)
class Late:
    """The tasks will take longer than the job."""

    told: str  # when the job ends, when the last task, and how much will be left over
    needed_s: float  # from the start to the last task
    last_s: float  # from now to the last task
    job_s: float  # from now to the end of the job
    waiting: int
    slots: int
    nodes: int
    in_job: bool = True  # of Slurm


@dataclass(frozen=True, slots=True)
class Room:
    """What tasks take of the memory of their node."""

    node_kib: int  # its memory; 0: not known
    slots: int
    cpus: int  # that its tasks may use
    ended: int  # attempts that the peak is of
    peak_kib: int


@dataclass(frozen=True, slots=True)
class Gone:
    """A manager that is not heard any more."""

    host: str
    pid: int
    job: str
    silent_s: float
    known: str = ""  # of what has become of it


class Stop(Enum):
    """What has ended a run before all of its tasks had; the value is how a line says it, with what is known of it."""

    NOTHING = ""
    LIMIT = "stopped by the end of the job"
    ASKED = "stopped by {}"
    MAX_FAILS = "more have failed than --max-fails {} allows"
    TROUBLE = "stopped by trouble with its files"  # which was said when it came up
    NO_WORKER = "no worker could run anything: {}"
    WORKERS_LEFT = "no worker is left"
    TOO_SHORT = "the job was too short for any of them"


@dataclass(frozen=True, slots=True)
class End:
    """How a run has ended."""

    name: str  # of the list, as it was given
    log: str
    total: int
    done: int  # by earlier runs, too
    failed: int = 0  # for good
    undecided: int = 0  # of those that are left, how many have failed
    stop: Stop = Stop.NOTHING
    by: str = ""  # whom or what
    program: str = "python -m mpifarm"  # as it was started
    line: str = ""  # by which this process was started, if it was alone
    once: str = ""  # an option of that line that is meant for one start: --rerun
    fresh: str = "again.txt"  # a name that no file has
    in_job: bool = False  # of Slurm
    ran_s: float = 0.0
    ended: int = 0  # attempts that the times are of
    mean_s: float = 0.0
    longest_s: float = 0.0
    nodes: int = 0  # that have workers
    idle_nodes: int = 0  # that rank 0 has for itself
    slots: int = 0  # a node

    @property
    def left(self) -> int:
        """Tasks that are neither done nor have failed."""
        return self.total - self.done - self.failed


@dataclass(frozen=True, slots=True)
class Runs:
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
