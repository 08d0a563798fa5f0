"""A list of arguments: the time to the first task, beside the same commands written out as a list.

A template is put into every line before the first task starts, since the .tfin file holds the commands. What that costs is
the difference, of the CPU time of rank 0 until the first task writes to a pipe. A list that has no template pays nothing:
that is what `lists` measures, from version to version.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from .harness import Plan, take_turns
from .lists import first_task
from .peers import Peers
from .table import By, Goal, Row

_TEMPLATE = "echo {1} {2} > started"
_LINE = "sample_%07d.fastq 0.%03d\n"
_COMMAND = "echo sample_%07d.fastq 0.%03d > started\n"


def rows(plan: Plan, peers: Peers) -> Iterator[Row]:
    """Measure."""
    count = plan.count(1_000_000, least=1000)
    arguments, commands = _write(plan, "arguments", _LINE, count), _write(plan, "commands", _COMMAND, count)
    samples = take_turns(
        plan,
        {
            "each": partial(first_task, arguments, peers, options=("--each", _TEMPLATE, "--colsep", " ")),
            "list": partial(first_task, commands, peers),
        },
    )
    cpu = {name: [first.cpu_s for first in rounds] for name, rounds in samples.items()}
    peaks = {name: [first.peak_mib for first in rounds] for name, rounds in samples.items()}
    what, peer = f"{count:,} arguments", "as a list"
    yield Row(f"{what}: CPU to first task", "s", cpu["each"], peer, cpu["list"], Goal(at_most=2), By.DIFFERENCE)
    yield Row(f"{what}: peak of rank 0", "MiB", peaks["each"], peer, peaks["list"], Goal(at_most=1.1))


def _write(plan: Plan, name: str, line: str, count: int) -> Path:
    path = plan.directory / f"{name}.txt"
    with path.open("w") as file:
        file.writelines(line % (number, number % 1000) for number in range(count))
    return path
