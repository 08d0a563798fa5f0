"""A slot: a place for one task at a time, with the pipes that it writes to.

The pipes are opened when they are needed, and used again by the next task. Where somebody may still write to them, who
was left in the background, the next task gets new ones: nobody writes into another task's output.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from mpifarm.launcher.capture import Capture, Readers
from mpifarm.launcher.frames import Task
from mpifarm.launcher.strays import Whose


class Result(NamedTuple):
    """What wait4 tells of a process."""

    status: int
    seconds: float
    user_s: float
    system_s: float
    rss_kib: int
    core: bool  # it was dumped


@dataclass(slots=True)
class Slot:
    """The pipes, and the attempt that runs or has ended here."""

    index: int
    number: int
    out: Capture | None = None  # opened when it is needed
    err: Capture | None = None
    task: Task | None = None
    pid: int = 0  # of the leader, and so the number of the group; 0: nothing runs here
    serial: int = 0  # tells this attempt's deadlines from an earlier one's
    started: float = 0.0  # by the helper's clock
    started_unix: float = 0.0
    ended: float = 0.0  # when the leader was reaped, by the helper's clock
    away_s: float = 0.0  # how long the helper had been away by the start
    flags: int = 0
    awaited: bool = False  # a shell would wait for the leader
    kill_at: float | None = None
    result: Result | None = None  # of a leader that was reaped while others of its task live
    left: int = 0  # processes
    shared: bool = False  # somebody may still write to the pipes: the next task gets new ones

    @property
    def whose(self) -> Whose:
        """By what the processes of its task are known."""
        assert self.task is not None
        return Whose(self.pid, (b"MPIFARM_TASK=%d" % self.task.offset, b"MPIFARM_ATTEMPT=%d" % self.task.attempt))

    def open(self, readers: Readers) -> None:
        """Open what is missing of the pipes, and let *readers* read from them. Raises OSError."""
        if self.out is None:
            self.out = Capture()
            readers.add(self.out)
        if self.err is None:
            self.err = Capture()
            readers.add(self.err)

    def empty(self, readers: Readers) -> None:
        """Forget what was written: the next task can come."""
        assert self.out and self.err
        if self.shared:
            readers.drop(self.out)
            readers.drop(self.err)
            self.out = self.err = None
            self.shared = False
        else:
            self.out.empty()
            self.err.empty()
