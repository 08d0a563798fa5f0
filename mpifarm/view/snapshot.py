"""The status file: one small JSON document of what the manager of a list knows, and how it is read again.

`--status --json` prints the same document; who reads it with a program may rely on what stands here, as long as `schema` is
the number that it was written for: what is added to it does not change the number, what is taken away or means something
else does. Times of day are Unix times, of the manager's clock; null is what is not known, or does not apply, or what the
mpifarm that wrote it was too old to tell.

    schema                int     1
    list                  text    the task list, as its files beside it name it
    state                 text    running; stopped: ended with work left; done: every task has succeeded; failed: ended, and
                                  some tasks have failed; gone: its manager says nothing any more (in --json alone)
    tasks.total           int     tasks of the list
    tasks.done            int     have succeeded, in earlier runs, too
    tasks.failed          int     have failed for good
    tasks.running         int
    tasks.waiting         int     will run
    tasks.blocked         int     wait for others
    tasks.not_run         int     what is left, when nobody runs it
    written               float   when it was written
    silent_s              float?  seconds since then, or since the manager was heard in any other way
    run.host              text    where the manager runs, or ran
    run.pid               int
    run.job               text    Slurm's id of the job
    run.started           float?
    run.ended             float?
    run.job_end           float?  when the job ends
    run.done              int     tasks that have succeeded in this run
    run.why               text    why it starts nothing more, or has ended
    attempts.failed       int     attempts of this run that have failed
    attempts.retried      int     of them, those after which the task was, or will be, tried again
    attempts.lost         int     attempts that ran again, or will, since their worker was lost
    seconds.tasks         int     tasks of this run that have succeeded, and whose run times these are
    seconds.median        float?
    seconds.p95           float?  95 % of them took no longer
    seconds.longest       float?
    rss_kib.median        float?  peak memory of a task, KiB
    rss_kib.peak          float?
    memory_kib            int?    that a node gives to its tasks, all together; where nodes differ, the least
    slots.total           int     of the workers that are there
    slots.busy            int
    slots.share           float?  of all slots since the start, how much was busy, 0 to 1
    rate                  float?  tasks done in a second, in the last minute
    end.earliest          float?  when the last task will have ended, if all goes on like this
    end.latest            float?
    end.rough             bool?   little is known yet
    nodes[].node          text    at most 64 nodes, those first about which something is odd
    nodes[].slots         int     0: none of its workers is there any more
    nodes[].busy          int     slots that are taken
    nodes[].done          int     tasks that have succeeded there, in this run
    nodes[].failed        int     attempts that have failed there
    nodes[].rate          float?  tasks done in a second, in the last minute
    nodes[].median        float?  run time of a task there, seconds
    nodes[].silent_s      float?  seconds since it was heard, when this was written
    nodes[].slow          float   by which factor its tasks take longer than those of the others; 0: it is as they are
    nodes[].note          text    lost, leaving, suspected, in quarantine
    nodes[].at            float?  since when
    others.nodes          int     how many nodes there are beside them; the rest are their sums
    others.slots          int
    others.busy           int
    others.done           int
    others.failed         int
    others.rate           float?
    longest[].seq         int     a task that runs: which line of the .tfin file, from 1; those first that have run longest
    longest[].node        text
    longest[].since       float   when it was given to the node
    longest[].attempt     int
    longest[].command     text    the beginning of it, if it is long
    reasons[].how         text    why attempts have failed: exit code 1, killed by SIGKILL, timed out, not started
    reasons[].last        text    the last line of their standard error, digits taken out
    reasons[].attempts    int
    reasons[].tasks       int     that have failed for good like this
    reasons[].seqs        ints    some of the tasks
    reasons[].command     text    of one of them
    reasons[].peak_kib    int     largest memory of one of them
    other_failures        int     attempts that have failed for further reasons
"""

from __future__ import annotations

import json
import math
import types
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

SCHEMA = 1
MOST_REASONS = 20
MOST_LONGEST = 5
MOST_BYTES = 256 * 1024  # that are read of a status file

RUNNING, STOPPED, DONE, FAILED, GONE = "running", "stopped", "done", "failed", "gone"
STATES = (RUNNING, STOPPED, DONE, FAILED, GONE)

_KEYS = {"tasklist": "list"}
_LATER = {"memory_kib"}  # what the first writers of this schema did not know


class Unreadable(Exception):
    """It is no status file, or none that this version reads; the message says why."""


class Tasks(NamedTuple):
    """How many tasks are in which state."""

    total: int
    done: int
    failed: int = 0
    running: int = 0
    waiting: int = 0
    blocked: int = 0
    not_run: int = 0


class Run(NamedTuple):
    """The last run."""

    host: str = ""
    pid: int = 0
    job: str = ""
    started: float | None = None
    ended: float | None = None
    job_end: float | None = None
    done: int = 0
    why: str = ""


class Attempts(NamedTuple):
    """Attempts that did not succeed."""

    failed: int = 0
    retried: int = 0
    lost: int = 0


class Times(NamedTuple):
    """Run times."""

    tasks: int = 0
    median: float | None = None
    p95: float | None = None
    longest: float | None = None


class Memory(NamedTuple):
    """Peak memory of tasks."""

    median: float | None = None
    peak: float | None = None


class Slots(NamedTuple):
    """Places for tasks."""

    total: int = 0
    busy: int = 0
    share: float | None = None


class End(NamedTuple):
    """When it will end."""

    earliest: float | None = None
    latest: float | None = None
    rough: bool | None = None


class Node(NamedTuple):
    """One node."""

    node: str
    slots: int = 0
    busy: int = 0
    done: int = 0
    failed: int = 0
    rate: float | None = None
    median: float | None = None
    silent_s: float | None = None
    slow: float = 0.0
    note: str = ""
    at: float | None = None

    @property
    def is_odd(self) -> bool:
        """Whether people should look at it."""
        return bool(self.slow or self.note)


class Others(NamedTuple):
    """The sums of other nodes."""

    nodes: int = 0
    slots: int = 0
    busy: int = 0
    done: int = 0
    failed: int = 0
    rate: float | None = None


class Longest(NamedTuple):
    """A task that has been running for long."""

    seq: int
    node: str
    since: float
    attempt: int
    command: str


class Reason(NamedTuple):
    """Why attempts have failed."""

    how: str
    last: str
    attempts: int
    tasks: int
    seqs: tuple[int, ...]
    command: str
    peak_kib: int


class Snapshot(NamedTuple):
    """The document."""

    schema: int
    tasklist: str  # `list` in the document
    state: str
    tasks: Tasks
    written: float
    silent_s: float | None = None
    run: Run = Run()
    attempts: Attempts = Attempts()
    seconds: Times = Times()
    rss_kib: Memory = Memory()
    memory_kib: int | None = None
    slots: Slots = Slots()
    rate: float | None = None
    end: End = End()
    nodes: tuple[Node, ...] = ()
    others: Others = Others()
    longest: tuple[Longest, ...] = ()
    reasons: tuple[Reason, ...] = ()
    other_failures: int = 0

    def text(self) -> bytes:
        """Return it as the file has it, of ASCII alone."""
        return json.dumps(_told(self)).encode() + b"\n"


def parse(text: bytes, tasklist: str) -> Snapshot:
    """Read a status file of the list that is called *tasklist*. Raises Unreadable."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        raise Unreadable("is half written, or damaged") from None
    schema = told.get("schema") if isinstance(told, dict) else None
    if not isinstance(schema, int):
        raise Unreadable("is not a status file of mpifarm")
    if schema != SCHEMA:
        raise Unreadable(f"is of schema {schema}, written by another version of mpifarm; this one reads schema {SCHEMA}")
    try:
        found: Snapshot = _made(Snapshot, told)
    except (TypeError, ValueError, KeyError):
        raise Unreadable("is damaged") from None
    if found.state not in STATES:
        raise Unreadable("is damaged")
    if found.tasklist != tasklist:
        raise Unreadable("is about another list")
    return found


def _told(value: Any) -> Any:
    """Return *value* as JSON has it."""
    if hasattr(value, "_fields"):
        return {_KEYS.get(name, name): _told(one) for name, one in zip(value._fields, value, strict=True)}
    return [_told(one) for one in value] if isinstance(value, tuple) else value


def _made(kind: Any, value: Any) -> Any:
    """Return *value* of JSON as a *kind* of value. Raises TypeError, ValueError and KeyError if it is none."""
    if hasattr(kind, "_fields"):
        hints = get_type_hints(kind)
        there = {name: _KEYS.get(name, name) for name in kind._fields if name not in _LATER or name in value}
        return kind(**{name: _made(hints[name], value[key]) for name, key in there.items()})
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise TypeError(kind)
        return tuple(_made(get_args(kind)[0], one) for one in value)
    if get_origin(kind) is types.UnionType:
        return None if value is None else _made(get_args(kind)[0], value)
    wanted = (int, float) if kind is float else kind
    if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(kind)
    if kind is float:
        value = float(value)
        if not math.isfinite(value):
            raise ValueError(kind)
    return value
