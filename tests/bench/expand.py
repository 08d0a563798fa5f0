"""Arguments and a template: how fast 10 million lines become commands, and in how much memory.

`sed`, `awk` and a loop in Python are what people write for it. The first two quote nothing, so they are right only as long
as no value needs it; the loop quotes with shlex. GNU Parallel says with --dry-run what it would run: of fewer lines, as it
takes a tenth of a second to start and some milliseconds a line. What counts is CPU time, as all of them are a single
process that writes to a file. Memory is the peak, and should be the same for a tenth of the lines.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .harness import Plan, run, take_turns
from .peers import PARALLEL, Peers
from .table import By, Goal, Row

_OURS = """
import os, sys
from mpifarm.settings import Each
from mpifarm.tasks.combinations import Combinations
from mpifarm.tasks.expansion import Expansion
template, colsep, *words = sys.argv[1:]
for chunk in Expansion(Each(template, colsep or None), Combinations(words)).chunks():
    os.write(1, chunk)
for line in open("/proc/self/status"):
    if line.startswith("VmHWM:"):
        sys.stderr.write(line.split()[1])
"""
_LOOP = """
import shlex, sys
for line in open(sys.argv[1]):
    first, second = line.rstrip("\\n").split(",")
    print(f"./run {shlex.quote(first)} {shlex.quote(second)}")
"""
_TEMPLATE = "./run {1} {2}"
_PART = 100_000  # lines written at a time
_FEW = 10_000  # GNU Parallel gets one line of so many


@dataclass(frozen=True, slots=True)
class Speed:
    """Of one program."""

    lines_per_s: float  # of CPU time
    peak_mib: float = 0.0


def rows(plan: Plan, peers: Peers) -> Iterator[Row]:
    """Measure."""
    count = plan.count(10_000_000, least=1000)
    plain = _write(plan, "plain", count, "%d,out/value_%d.dat\n")
    odd = _write(plan, "odd", count, "%d,it's value %d\n")
    tenth = _write(plan, "tenth", count // 10, "%d,out/value_%d.dat\n")
    few = _write(plan, "few", max(100, count // _FEW), "%d,out/value_%d.dat\n")
    side = round(count**0.5)
    product = [word for _ in range(2) for word in (":::", *map(str, range(side)))]
    ours = partial(_ours, peers)
    samples = take_turns(
        plan,
        {
            "plain": partial(ours, count, ",", ["::::", str(plain)]),
            "sed": partial(_other, peers, count, ["sed", r"s|^\([^,]*\),\(.*\)|./run \1 \2|", str(plain)]),
            "awk": partial(_other, peers, count, ["awk", "-F,", '{print "./run " $1 " " $2}', str(plain)]),
            "loop": partial(_other, peers, count, [sys.executable, "-c", _LOOP, str(plain)]),
            "odd": partial(ours, count, ",", ["::::", str(odd)]),
            "odd loop": partial(_other, peers, count, [sys.executable, "-c", _LOOP, str(odd)]),
            "product": partial(ours, side * side, "", product),
            "tenth": partial(ours, count // 10, ",", ["::::", str(tenth)]),
        },
    )
    speeds = {name: [sample.lines_per_s for sample in rounds] for name, rounds in samples.items()}
    peaks = {name: [sample.peak_mib for sample in rounds] for name, rounds in samples.items()}
    what, unit = f"{count:,} lines, {_TEMPLATE}", "lines/CPU s"
    yield Row(what, unit, speeds["plain"], "(goal)", None, Goal(at_least=500_000), By.ITSELF)
    for peer in ("sed", "awk", "loop"):
        yield Row(what, unit, speeds["plain"], f"Python {peer}" if peer == "loop" else peer, speeds[peer])
    yield Row(what, unit, speeds["plain"], f"{PARALLEL}, few", _parallel(plan, peers, few))
    yield Row(f"{what}, with quotes", unit, speeds["odd"], "Python loop", speeds["odd loop"])
    yield Row(
        f"{side:,} x {side:,} combinations", unit, speeds["product"], "(goal)", None, Goal(at_least=500_000), By.ITSELF
    )
    yield Row(f"{count:,} lines: peak", "MiB", peaks["plain"], "a tenth of them", peaks["tenth"], Goal(at_most=1.1))


def _write(plan: Plan, name: str, count: int, line: str) -> Path:
    path = plan.directory / f"{name}.txt"
    with path.open("w") as file:
        for start in range(0, count, _PART):
            file.write("".join(line % (n, n * 7) for n in range(start, min(count, start + _PART))))
    return path


def _ours(peers: Peers, count: int, colsep: str, words: Sequence[str], directory: Path) -> Speed:
    cost = run([sys.executable, "-c", _OURS, _TEMPLATE, colsep, *words], directory, peers.environ)
    return Speed(count / cost.cpu_s, int((directory / "bench.err").read_text()) / 1024)


def _other(peers: Peers, count: int, command: Sequence[str], directory: Path) -> Speed:
    return Speed(count / run(command, directory, peers.environ).cpu_s)


def _parallel(plan: Plan, peers: Peers, few: Path) -> list[float] | None:
    if PARALLEL not in peers.present:
        return None
    count = few.read_bytes().count(b"\n")
    command = [
        shutil.which("parallel") or "",
        "--will-cite",
        "--dry-run",
        "-k",
        "--colsep",
        ",",
        _TEMPLATE,
        "::::",
        str(few),
    ]
    rounds = take_turns(plan, {PARALLEL: partial(_other, peers, count, command)})[PARALLEL]
    return [speed.lines_per_s for speed in rounds]
