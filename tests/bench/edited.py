"""An edited list: which of a million lines stand in it still, when a hundred of them were edited, and what to say of that.

The peer is `diff`, which answers the same question, with all of both files in memory. Ours is its own peer, too: four times
as many lines, with as many edits, are not to take more memory. Both are run by the program that this file is as well.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mpifarm.tasks import changes, edits, wording
from mpifarm.tasks.tasklist import Tasklist

from .harness import Plan, run, take_turns
from .peers import Peers
from .table import By, Goal, Row

EDITS = 100


@dataclass(frozen=True, slots=True)
class Compared:
    """One comparison."""

    wall_s: float
    peak_mib: float


def rows(plan: Plan, peers: Peers) -> Iterator[Row]:
    """Measure."""
    count = plan.count(1_000_000, least=4 * EDITS)
    one, four = make_lists(plan, count), make_lists(plan, 4 * count)
    contestants = {
        "ours": partial(_compare, "mpifarm", one, peers),
        "four": partial(_compare, "mpifarm", four, peers),
        "diff": partial(_compare, "diff", one, peers),
    }
    samples = take_turns(plan, contestants)
    walls = {name: [compared.wall_s for compared in rounds] for name, rounds in samples.items()}
    peaks = {name: [compared.peak_mib for compared in rounds] for name, rounds in samples.items()}
    what = f"{count:,} lines, {EDITS} edits"
    yield Row(f"{what}: compared", "s", walls["ours"], "(goal)", None, Goal(at_most=10), By.ITSELF)
    yield Row(f"{what}: compared", "s", walls["ours"], "diff", walls["diff"])
    yield Row(f"{what}: peak", "MiB", peaks["ours"], "diff", peaks["diff"])
    yield Row(
        f"{4 * count:,} lines, {EDITS} edits: peak", "MiB", peaks["four"], "a quarter", peaks["ours"], Goal(at_most=1.1)
    )


def make_lists(plan: Plan, count: int) -> tuple[Path, Path]:
    """Write the .tfin file of a list, and the list as it was edited, with its own."""
    old, new = plan.directory / f"old.{count}", plan.directory / f"new.{count}"
    places = set(random.Random(count).sample(range(count), EDITS))
    with (
        old.open("wb") as before,
        new.open("wb") as after,
        _tfin(new).open("wb") as now,
    ):
        for number in range(count):
            line = b"./align.sh --case %07d --out results/%07d\n" % (number, number)
            before.write(b"> " + line)
            if number in places:
                line = (b"", line.replace(b"--out", b"-l --out"), b"./new %d\n" % number + line)[number % 3]
            after.write(line)
            now.write(b"> ".join((b"", *line.splitlines(keepends=True))))
    return old, new


def _tfin(tasks: Path) -> Path:
    return tasks.with_name(f"{tasks.name}.tfin")


def _compare(who: str, lists: tuple[Path, Path], peers: Peers, directory: Path) -> Compared:
    command = [sys.executable, "-m", "tests.bench.edited", who, *map(str, lists)]
    run(command, directory, peers.environ)
    wall_s, peak_mib = map(float, (directory / "compared").read_text().split())
    return Compared(wall_s, peak_mib)


def main() -> None:
    """Compare two lists, and write to the file compared how long that took, and the peak of memory."""
    who, old, new = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    now = _tfin(new)
    began = time.perf_counter()
    if who == "diff":
        subprocess.run(["diff", old, now], stdout=subprocess.DEVNULL, check=False)
        peak_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    else:
        with old.open("rb") as before, now.open("rb") as after:
            size = old.stat().st_size
            kept = edits.compare(before.fileno(), size, after.fileno(), now.stat().st_size)
            print(*wording.sentences(changes.find(Tasklist(new), before.fileno(), size, kept)), sep="\n")
        lines = Path("/proc/self/status").read_text().splitlines()
        (peak_mib,) = (int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))
    Path("compared").write_text(f"{time.perf_counter() - began} {peak_mib}")


if __name__ == "__main__":
    main()
