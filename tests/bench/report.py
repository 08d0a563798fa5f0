"""The report of a run of a million attempts: time, memory, and the size of the page.

The files are those of a farm that never ran: 32 nodes of 64 slots, three starts, one attempt in a hundred failed in one of
three ways. The goals are fixed, since nothing else makes such a page; `wc` reads the same bytes.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mpifarm.journal.lines import JOBLOG_HEADER

from .harness import Failed, Plan, take_turns
from .peers import Peers
from .table import By, Goal, Row

_NODES, _SLOTS, _STARTS = 32, 64, 3
_PAUSE_S = 7200.0
_BEGAN = 1_796_000_000.0
_WAYS = (
    (1, 0, "exit code 1", "No such file: in/%d.dat"),
    (0, 9, "killed by SIGKILL", ""),
    (3, 0, "exit code 3", "singular: %d"),
)
_STAMP = "2026-11-30 12:00:00"


@dataclass(frozen=True, slots=True)
class Made:
    """A report that was made."""

    wall_s: float
    peak_mib: float
    page_mib: float


def rows(plan: Plan, peers: Peers) -> Iterator[Row]:
    """Measure."""
    count = plan.count(1_000_000, least=1000)
    make_run(plan.directory, count)
    contestants = {"page": partial(_report, plan.directory, peers), "wc": partial(_wc, plan.directory, peers)}
    made = take_turns(plan, contestants)
    walls, peaks, sizes = zip(*((one.wall_s, one.peak_mib, one.page_mib) for one in made["page"]), strict=True)
    what = f"--report of {count:,} attempts"
    yield Row(what, "s", walls, "wc of joblog, log, progress", [one.wall_s for one in made["wc"]], None, By.DIFFERENCE)
    yield Row(what, "s", walls, "(goal)", None, Goal(at_most=20), By.ITSELF)
    yield Row(f"{what}: peak", "MiB", peaks, "(goal)", None, Goal(at_most=1024), By.ITSELF)
    yield Row(f"{what}: page", "MiB", sizes, "(goal)", None, Goal(at_most=2), By.ITSELF)


def make_run(directory: Path, count: int) -> None:
    """Write the files of a run of *count* attempts, one a task, of a list named tasks.txt."""
    draw = random.Random(1)
    free = [0.0] * (_NODES * _SLOTS)
    offset, failed = 0, []
    names = ("tasks.txt", "tasks.txt.tfin", *(f"{kind}.tasks.txt.tfin" for kind in ("joblog", "progress", "log")))
    listed, tfin, joblog, progress, log = ((directory / name).open("w") for name in names)
    joblog.write(JOBLOG_HEADER.decode())
    for task in range(count):
        command = f"./fit {task} --alpha {task % 17}"
        place = task % len(free)
        seconds = draw.lognormvariate(3.0, 0.8)
        start = _BEGAN + free[place] + _PAUSE_S * (task * _STARTS // count)
        free[place] += seconds
        node, slot = f"nid{place // _SLOTS:05d}", place % _SLOTS + 1
        code, number, why, said = _WAYS[task % 3] if draw.random() < 0.01 else (0, 0, "", "")
        numbers = f"{code}\t{number}\t1\t{slot}\t{draw.randrange(300_000, 3_000_000)}\t{seconds:.3f}\t0.100\t{offset}"
        joblog.write(f"{task + 1}\t{node}\t{start:.3f}\t{seconds:.3f}\t0\t10\t{numbers}\t{command}\n")
        if why:
            failed.append(offset)
            who = f"task {task + 1} (offset {offset}), attempt 1, {node}-{slot}"
            log.write(f"{_STAMP} failed for good: {who}, {why}, {seconds:.3f} s: {command}\n")
            log.write(f"    {said % task}\n" if said else "")
        else:
            progress.write(f"{offset} {node}-{slot} {seconds:.3f} 0 {start + seconds:.0f} {len(command) + 3}\n")
        listed.write(f"{command}\n")
        tfin.write(f"> {command}\n")
        offset += len(command) + 3
    for file in (listed, tfin, joblog, progress, log):
        file.close()
    left = "".join(f"{at}\n" for at in failed)
    (directory / "fastrecovery.tasks.txt.tfin").write_text(f"# max: {count} {offset}\n{left}")


def _report(run: Path, peers: Peers, directory: Path) -> Made:
    page = directory / "report.html"
    wall_s, peak_mib = _measured([sys.executable, "-m", "mpifarm", "--report", str(page), "tasks.txt"], run, peers)
    return Made(wall_s, peak_mib, page.stat().st_size / 2**20)


def _wc(run: Path, peers: Peers, directory: Path) -> Made:
    kinds = [f"{kind}.tasks.txt.tfin" for kind in ("joblog", "log", "progress")]
    return Made(*_measured(["wc", "-l", *kinds], run, peers), 0.0)


def _measured(command: list[str], run: Path, peers: Peers) -> tuple[float, float]:
    """Return how long a program took, and the most memory that it had, in MiB."""
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=run, env=peers.environ, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Failed(f"{' '.join(command)}: exit code {process.returncode}")
    return time.perf_counter() - began, usage.ru_maxrss / 1024
