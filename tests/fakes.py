"""Stand-ins for the edges of the farm, by their interfaces: a transport that records, a launcher without processes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, cast

import numpy as np

from mpifarm import ended
from mpifarm.journal import journal
from mpifarm.journal.identity import Identity
from mpifarm.journal.journal import Journal
from mpifarm.journal.lines import Attempt, Attempts
from mpifarm.journal.lock import Lock, TakenOver
from mpifarm.journal.names import Names
from mpifarm.journal.resume import Resume
from mpifarm.journal.warrant import Warrant
from mpifarm.journal.watch import Waiting
from mpifarm.launcher import frames
from mpifarm.launcher.frames import Reply, Task
from mpifarm.launcher.launcher import Frame, HelperLost
from mpifarm.ranks import wire
from mpifarm.ranks.comm import Received
from mpifarm.ranks.wire import Message, Note, Report, Tag


@contextmanager
def standard_output_to(descriptor: int) -> Iterator[None]:
    """What is written to descriptor 1 goes to *descriptor* meanwhile."""
    kept = os.dup(1)
    os.dup2(descriptor, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def success(attempt: Attempt, out_bytes: int = 0) -> Attempts:
    """Return *attempt* as the columns that a report makes of it, with so much output in the same report."""
    row = np.zeros(1, dtype=wire.ENDED)
    for name in ("offset", "attempt", "slot", "status", "flags", "start", "seconds", "user_s", "system_s", "rss_kib"):
        row[name] = getattr(attempt, name)
    row["out_total"], row["out_bytes"] = attempt.out_total, out_bytes
    return Attempts(attempt.node, row, [attempt.length], [attempt.seq], [attempt.command])


class Passing:
    """Time that passes only while somebody waits."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        """*meanwhile* is called at every pause."""
        self.now = 1000.0
        self.said: list[str] = []
        self._meanwhile = meanwhile

    def pause(self, seconds: float) -> None:
        self.now += seconds
        self._meanwhile()

    @property
    def waiting(self) -> Waiting:
        return Waiting(lambda: self.now, self.pause, self.said.append)


AT_ONCE = Waiting(pause=lambda _: None, tell=lambda _: None)


class FakeLock:
    """Held, until a test says that it is not."""

    def __init__(self) -> None:
        self.held = True
        self.asked = 0

    def prove(self) -> None:
        self.asked += 1
        if not self.held:
            raise TakenOver("another mpifarm has taken over this list")

    keep = prove


def warrant(*paths: Path, lock: FakeLock | None = None) -> Warrant:
    """Return a warrant for *paths* as they are now."""
    return Warrant(cast(Lock, lock or FakeLock()), paths)


def open_journal(
    names: Names, output: Path | None, start: Resume, run: Identity | None = None, lock: FakeLock | None = None
) -> Journal:
    """Open the files of a list, of which *start* counts, as `opening` does."""
    paths = [names.progress, names.joblog, names.log, *([output] if output else [])]
    may = warrant(*paths, lock=lock)
    journal.judge(may, names, output, start)
    return Journal(names, output, start, may, lambda seq: f"task {seq} (tasks.txt:{seq + 3})", run)


class FakeComm:
    """Keeps what rank 0 sends until a test takes it."""

    rank = 0
    backlog = 0
    remote = False

    def __init__(self, size: int) -> None:
        self.size = size
        self.sent: deque[Received] = deque()  # source is the receiver

    def node_mates(self, node: str, host: str, works: bool) -> tuple[int, int, str]:
        return 0, 1, node

    def send(self, rank: int, tag: Tag, message: Message) -> None:
        self.sent.append(Received(rank, tag, message))

    def poll(self) -> Iterator[Received]:
        return iter(())

    def own(self) -> Iterator[Received]:
        return iter(())

    def take_lost(self) -> set[int]:
        return set()

    def leave(self, code: int, complete: bool) -> NoReturn:
        raise AssertionError("leave")

    def abort(self, code: int) -> NoReturn:
        raise AssertionError("abort")

    def take(self, tag: Tag) -> list[Received]:
        """Return the messages with *tag* that were sent, and forget them."""
        taken = [message for message in self.sent if message.tag is tag]
        self.sent = deque(message for message in self.sent if message.tag is not tag)
        return taken


class FakeLauncher:
    """Runs nothing; a test says how each task ends."""

    def __init__(self) -> None:
        self.started: list[Task] = []
        self.orders: list[str] = []
        self.frames: list[Frame] = []
        self.broken = False
        self.killed = frames.Killed()

    def set_up(self, node: str, slots: int, first_slot: int, widen: bool = False, cpus: int = 0) -> None:
        told = f", {cpus} CPUs each" if cpus else ""
        self.orders.append(f"set up {slots} slots from {first_slot} on {node}" + told + ", widened" * widen)

    def start(self, tasks: Iterable[Task]) -> None:
        self.started += tasks

    def recall(self) -> None:
        self.orders.append("recall")

    def terminate(self) -> None:
        self.orders.append("terminate")

    def kill(self) -> None:
        self.orders.append("kill")

    def descriptors(self) -> list[int]:
        return []

    def read(self) -> list[Frame]:
        if self.broken:
            raise HelperLost("a helper is gone")
        frames, self.frames = self.frames, []
        return frames

    def close(self) -> None:
        self.orders.append("close")

    def end(self, offset: int, attempt: int = 1, out: bytes = b"", seconds: float = 1.0, status: int = 0) -> None:
        """Let a task end."""
        record = ended_record(offset, attempt, status, out=out, seconds=seconds)
        self.frames.append(Frame(0, Reply.ENDED, 1, record + out))


def ended_record(
    offset: int, attempt: int = 1, status: int = 0, flags: int = 0, out: bytes = b"", err: bytes = b"", **fields: float
) -> bytes:
    """Return an ENDED record of an attempt that wrote *out* and *err*."""
    record = np.zeros(1, dtype=wire.ENDED)
    record["offset"], record["attempt"], record["status"], record["flags"] = offset, attempt, status, flags
    record["slot"], record["start"], record["seconds"] = 1, 1.7e9, 0.5
    record["out_total"] = record["out_bytes"] = len(out)
    record["err_bytes"] = len(err)
    for name, value in fields.items():
        record[name] = value
    assert record.itemsize == ended.STRUCT.size
    return record.tobytes()


def report(seen: int, credit: int, *records: bytes, written: bytes = b"", notes: Note = wire.NO_NOTE) -> Message:
    """Return a REPORT with these ENDED records and what their attempts wrote."""
    return wire.pack_report(seen, credit, notes, 0, len(records), b"".join(records) + written)


def reports(messages: Iterable[tuple[Tag, Message]]) -> list[Report]:
    """Read the REPORTs among *messages*."""
    return [wire.unpack_report(message) for tag, message in messages if tag is Tag.REPORT]
