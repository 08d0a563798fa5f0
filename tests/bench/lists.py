"""Large lists: the time to the first task, the manager's memory, and going on where 99 % is done.

A list of 10 million lines has to be read once to count its tasks, and written once, as the .tfin file: so the limit is
what `wc -l` and `cp` of it take, and, since a farm that says so has it on disk, `sync` of the copy. The time to the first
task ends when that task writes to a pipe. Memory is the manager's peak until then, and should be the same for a tenth of
the list. Going on costs the reading of the list, of which `wc -l` is the least, and not what was done before: the progress
file of that run has its 9.9 million lines.
"""

from __future__ import annotations

import os
import select
import signal
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mpifarm.journal import fastrecovery
from mpifarm.journal.fastrecovery import Covered

from .harness import DEADLINE_S, Failed, Plan, run, running, take_turns
from .peers import Peers
from .table import By, Goal, Row

_LINE = b"true # one of a great many lines, this\n"
_FIRST = b"echo > started".ljust(len(_LINE) - 1) + b"\n"
_RECORD = 2 + len(_LINE)
_PART = 100_000  # lines written at a time
_LEFT = 100  # one in so many is not done in the run that goes on


@dataclass(frozen=True, slots=True)
class First:
    """Until the first task."""

    wall_s: float
    peak_mib: float  # of rank 0
    cpu_s: float = 0.0  # of rank 0


def rows(plan: Plan, peers: Peers) -> Iterator[Row]:
    """Measure."""
    count = plan.count(10_000_000, least=1000)
    large, small = make_list(plan, "large", count), make_list(plan, "small", count // 10)
    half_done = half_done_run(plan, large, count)
    copy = f"wc -l {large} && cp {large} copy"
    samples = take_turns(
        plan,
        {
            "large": partial(first_task, large, peers),
            "small": partial(first_task, small, peers),
            "copy": partial(shell, copy, peers),
            "durable copy": partial(shell, f"{copy} && sync copy", peers),
            "again": partial(go_on, large, peers, half_done),
            "count": partial(shell, f"wc -l {large}", peers),
        },
    )
    walls = {name: [first.wall_s for first in rounds] for name, rounds in samples.items()}
    peaks = {name: [first.peak_mib for first in rounds] for name, rounds in samples.items()}
    what = f"{count:,} lines"
    first, plus = f"{what}: first task", By.DIFFERENCE
    yield Row(first, "s", walls["large"], "wc -l, cp", walls["copy"], Goal(at_most=3), plus)
    yield Row(first, "s", walls["large"], "wc -l, cp, sync", walls["durable copy"], None, plus)
    yield Row(f"{what}: peak of rank 0", "MiB", peaks["large"], "a tenth of them", peaks["small"], Goal(at_most=1.1))
    yield Row(f"{what}: peak of rank 0", "MiB", peaks["large"], "(goal)", None, Goal(at_most=150), By.ITSELF)
    yield Row(f"{what}, 99 % done: first task", "s", walls["again"], "wc -l", walls["count"], Goal(at_most=2), plus)


def make_list(plan: Plan, name: str, count: int) -> Path:
    """Write a list whose first task, and the first one of its last hundredth, say that they have started."""
    path = plan.directory / f"{name}.txt"
    done = count - count // _LEFT
    with path.open("wb") as file:
        for lines in (done, count - done):
            file.write(_FIRST)
            for written in range(1, lines, _PART):
                file.write(_LINE * min(_PART, lines - written))
    return path


def half_done_run(plan: Plan, tasks: Path, count: int) -> Path:
    """Make a directory as a run leaves it that was killed after its last checkpoint, when all but a hundredth was done."""
    directory = plan.directory / "half-done"
    directory.mkdir()
    done = count - count // _LEFT
    crc = 0
    with tasks.open("rb") as source, (directory / f"{tasks.name}.tfin").open("wb") as tfin:
        while lines := source.read(_PART * len(_LINE)):
            records = b"> " + lines[:-1].replace(b"\n", b"\n> ") + b"\n"
            left = max(0, done * _RECORD - tfin.tell())
            crc = zlib.crc32(records[:left], crc)
            tfin.write(records)
    progress = directory / f"progress.{tasks.name}.tfin"
    with progress.open("wb") as file:
        for start in range(0, done, _PART):
            offsets = range(start * _RECORD, min(done, start + _PART) * _RECORD, _RECORD)
            file.write(b"".join(b"%d node1-1 0.001 0 1795344287 %d\n" % (offset, _RECORD) for offset in offsets))
    covered = Covered(progress.stat().st_size)
    (directory / "checkpoint").write_bytes(fastrecovery.content(done, done * _RECORD, crc, covered, []))
    return directory


def go_on(tasks: Path, peers: Peers, directory: Path, _new: Path) -> First:
    """Put *directory* back into the state that it had, and start there."""
    checkpoint = (directory / "checkpoint").read_bytes()
    (directory / f"fastrecovery.{tasks.name}.tfin").write_bytes(checkpoint)
    (covered,) = [word for word in checkpoint.split() if word.startswith(b"progress=")]
    os.truncate(directory / f"progress.{tasks.name}.tfin", int(covered.partition(b"=")[2]))
    for kind in ("joblog", "log"):
        (directory / f"{kind}.{tasks.name}.tfin").unlink(missing_ok=True)
    return first_task(tasks, peers, directory)


def first_task(tasks: Path, peers: Peers, directory: Path, options: Sequence[str] = ()) -> First:
    pipe = directory / "started"
    os.mkfifo(pipe)
    started = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        began = time.perf_counter()
        with running(peers.farm(2, 1, tasks, *options), directory, peers.environ) as farm:
            if not select.select([started], [], [], DEADLINE_S)[0]:
                raise Failed("the first task has not started")
            wall_s = time.perf_counter() - began
            (manager,) = [member for member in farm.family() if member.name == "rank 0"]
            peak_mib, cpu_s = manager.peak_mib(), manager.cpu_s()
            os.kill(manager.pid, signal.SIGTERM)
            farm.wait(3)
    finally:
        os.close(started)
        pipe.unlink()
    return First(wall_s, peak_mib, cpu_s)


def shell(command: str, peers: Peers, directory: Path) -> First:
    return First(run(["/bin/sh", "-c", command], directory, peers.environ).wall_s, 0.0)
