"""What a run is told, frozen: what everybody may ask for, and nobody reads from anywhere else. `config` makes it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

KILL_AFTER_S = 5.0  # between TERM and KILL, if nobody says otherwise


class Interface(IntEnum):
    """The interface by which whoever started this process tells it of the others."""

    NONE = 0
    PMI = 1  # Hydra's mpiexec, srun --mpi=pmi2 or cray_shasta
    PMIX = 2  # Open MPI's mpiexec, srun --mpi=pmix


@dataclass(frozen=True, slots=True)
class Job:
    """The Slurm job that this process is part of."""

    id: str
    restart: int  # how often it was requeued
    nodes: int
    cpus: int  # of a node, the largest number if they differ; 0 if this step has them all, or nobody says
    end: float | None  # Unix time of its limit, if the environment tells; nan if that is none
    uneven: bool = False  # its nodes have not all as many CPUs
    cpus_per_task: int = 0  # that this step was given by -c; 0: it was not


@dataclass(frozen=True, slots=True)
class MaxFails:
    """How many tasks may fail before nothing more is started."""

    words: str  # as they were given
    number: int  # of tasks, or of parts of the list
    parts: int = 0  # that the list has then: 0.5 % of it are 5 of 1000

    def among(self, tasks: int) -> int:
        """Return how many that are in a list of *tasks* tasks."""
        return tasks * self.number // self.parts if self.parts else self.number


@dataclass(frozen=True, slots=True)
class Each:
    """How the lines of a list of arguments become commands."""

    template: str
    colsep: str | None = None  # a regular expression; None: a line is one value (a .csv list with header: the csv module)
    header: bool = False  # the first line names the columns
    elements: str | None = None  # a range, 1-1000, in place of the lines of a file


@dataclass(frozen=True, slots=True)
class Typed:
    """How this process was started, to be typed once more."""

    program: str = "python -m mpifarm"
    line: str = ""  # without what is meant for one start; empty: others were started with it, or it cannot be shown
    once: str = ""  # what was meant for one start: --rerun, --again


@dataclass(frozen=True, slots=True)
class Config:
    """Everything a run is told. Times are in seconds; None means no limit, or a default found later."""

    tasklist: str
    threads: int | None = None
    retries: int = 2
    timeout_s: float | None = None
    kill_after_s: float = KILL_AFTER_S  # between the TERM of a task, at its timeout or at a stop, and its KILL
    max_fails: MaxFails | None = None
    manager_works: bool = False
    rerun: bool = False
    again: str | None = None  # tasks to run once more, as `tasks.which` reads them
    edited: bool = False
    each: Each | None = None  # the list is of arguments
    lost_after_s: float = 120.0
    output: str | None = None
    shell: str | None = None  # that runs the tasks; None: not given
    no_mpi: bool = False
    keep_mpi_env: bool = False
    quiet: bool = False
    bar: bool = False
    report_every_s: float = 60.0
    node: str = "localhost"  # as it is shown
    host: str = "localhost"  # which one that is
    cpus: int = 1  # that this process is bound to
    usable_cpus: int = 1  # that the job allows it on this node
    node_cpus: int = 0  # that the machine has, whoever may use them
    memory_kib: int = 0  # that this node gives us; 0: nobody tells
    quota_cpus: int = 0  # whose time the container is given; 0: no limit
    launched_ranks: int = 1  # what the launcher says it started
    interface: Interface = Interface.NONE
    job: Job | None = None
    walltime_s: float | None = None
    margin_s: float | None = None
    time_request_s: float = 0.0
    anyway: bool = False
    ignore_directives: bool = False
    on_end: str | None = None  # a command
    variables: frozenset[str] = frozenset()  # names of those that the tasks find set
    typed: Typed = Typed()
    steps_wait: bool = False  # that a task would start with srun: for the farm's own, which has all CPUs
