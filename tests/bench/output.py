"""Collecting output: 1,000 tasks that print 4 MB each into --output, which holds whole blocks, and is synced.

The bytes go from the task to its capture file, from there to the worker, through MPI to the manager, and from there to the
file. xargs lets all tasks write into one file as they please, torn and unsynced: that is the rate without a farm. The limit
is `cat` of the same bytes into one file, and `sync`. Memory must not depend on how much there is: the peak of every rank,
beside that of a run with a tenth of the tasks.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .harness import Failed, Plan, Running, run, running, take_turns
from .peers import XARGS, Peers
from .table import By, Goal, Row

TASK_BYTES = 4_000_000
_LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Output:
    """One run."""

    wall_s: float
    peaks_mib: dict[str, float]  # by the name of the process


def rows(plan: Plan, peers: Peers) -> Iterator[Row]:
    """Measure."""
    count = plan.count(1000, least=10)
    block = plan.directory / "block"
    block.write_bytes(b"0123456789abcde\n" * (TASK_BYTES // 16))
    large, small = _tasks(plan, "outputs", block, count), _tasks(plan, "fewer", block, count // 10)
    blocks = " ".join([shlex.quote(str(block))] * count)
    xargs = f"{shlex.join(peers.xargs(2))} < {large} > all.out"
    contestants = {
        "farm": partial(_farm, large, count, peers),
        "fewer": partial(_farm, small, count // 10, peers),
        "limit": partial(_shell, f"cat {blocks} > all.out; sync all.out", peers),
    }
    if XARGS in peers.present:
        contestants["xargs"] = partial(_shell, xargs, peers)
    samples = take_turns(plan, contestants)
    rate = {name: [count * TASK_BYTES / 1e6 / one.wall_s for one in rounds] for name, rounds in samples.items()}
    what = f"{count:,} x 4 MB into --output"
    yield Row(what, "MB/s", rate["farm"], "(goal)", None, Goal(at_least=250), By.ITSELF)
    yield Row(what, "MB/s", rate["farm"], "xargs -P2 > FILE", rate.get("xargs"))
    yield Row(what, "MB/s", rate["farm"], "cat, sync", rate["limit"])
    for name in sorted(samples["farm"][0].peaks_mib):
        ours, fewer = ([one.peaks_mib.get(name, 0.0) for one in samples[run_]] for run_ in ("farm", "fewer"))
        yield Row(f"{what}: peak of {name}", "MiB", ours, "a tenth of them", fewer)


def _tasks(plan: Plan, name: str, block: Path, count: int) -> Path:
    path = plan.directory / f"{name}.txt"
    path.write_text(f"cat {shlex.quote(str(block))}\n" * count)
    return path


def _farm(tasks: Path, count: int, peers: Peers, directory: Path) -> Output:
    peaks: dict[str, float] = {}
    out = directory / "all.out"
    with running(peers.farm(2, 2, tasks, "--output", out.name), directory, peers.environ) as farm:
        while not farm.ends_within(_LOOK_S):
            _look(farm, peaks)
        wall_s = farm.wait().wall_s
    if out.stat().st_size != count * TASK_BYTES:
        raise Failed(f"{out.stat().st_size} bytes of {count * TASK_BYTES}")
    return Output(wall_s, peaks)


def _look(farm: Running, peaks: dict[str, float]) -> None:
    for member in farm.family():
        if member.rank is not None:
            with contextlib.suppress(OSError):
                peaks[member.name] = max(peaks.get(member.name, 0.0), member.peak_mib())


def _shell(command: str, peers: Peers, directory: Path) -> Output:
    return Output(run(["/bin/sh", "-c", command], directory, peers.environ).wall_s, {})
