"""What README.md shows, as it stands there."""

from __future__ import annotations

import re
import shutil
import signal
from pathlib import Path

import pytest

from .farms import Farms, mpiexec, wait_until

ROOT = Path(__file__).parents[2]


def sample() -> tuple[list[str], list[str]]:
    """Return the list of the smallest example, and what is printed when it is run."""
    _, _, behind = (ROOT / "README.md").read_text().partition("$ cat tasks.txt\n")
    tasks, _, printed = behind.partition("\n```\n")[0].partition("$ python -m mpifarm tasks.txt\n")
    return tasks.splitlines(), printed.splitlines()


def timeless(line: str) -> str:
    """Return a line without times, shares and what depends on how many ranks there are."""
    return re.sub(r"\d\d:\d\d:\d\d|in \d+ s;|\d+ % busy|; all up after .*", "", line)


@pytest.mark.short
@pytest.mark.parametrize(
    ("ranks", "threads", "workers"),
    [
        (0, "4", "1 worker on 1 node, 4 slots"),
        pytest.param(3, "2", "2 workers on 1 node, 4 slots", marks=pytest.mark.long),
    ],
)
def test_the_smallest_example_prints_what_is_shown(farms: Farms, ranks: int, threads: str, workers: str) -> None:
    tasks, printed = sample()
    for name in ("wrapper.sh", "sum.py"):
        shutil.copy(ROOT / "slurm" / "example" / name, farms.directory)
    farms.tasks(*tasks)
    ended = farms.run(ranks, "tasks.txt", environ={"THREADS": threads})
    assert ended.code == 0
    told = [*ended.said, *ended.out.decode().splitlines()]
    shown = [line.replace("1 worker on 1 node, 4 slots", workers) for line in printed]
    assert sorted(map(timeless, told)) == sorted(map(timeless, shown))


def test_a_farm_that_was_started_deaf_to_int_stays_so_and_term_stops_it(farms: Farms) -> None:
    farms.tasks("touch held; sleep 100")
    farm = farms.start(0, "tasks.txt", by=("sh", "-c", 'trap "" INT; exec "$0" "$@"'))  # as behind & in a script
    wait_until((farms.directory / "held").exists, "the task runs")
    farm.signal(signal.SIGINT)
    farm.signal(signal.SIGUSR2)
    wait_until(lambda: "SIGUSR2" in farm.err(), "what came later has been heard")
    assert "SIGINT" not in farm.err()
    farm.signal(signal.SIGTERM)
    assert farm.wait().code == 3


@pytest.mark.parametrize(("standard_input", "read"), [("", "1"), ("< /dev/null", "123")])
def test_an_mpiexec_in_a_loop_takes_what_the_loop_is_to_read(farms: Farms, standard_input: str, read: str) -> None:
    (farms.directory / "words").write_text("1\n2\n3\n")
    (farms.directory / "tasks.txt").write_text("true\n")
    loop = f'while read -r word; do printf %s $word; "$0" "$@" {standard_input}; done < words'
    ended = farms.start(0, "--quiet", "--rerun", "tasks.txt", by=("sh", "-c", loop, *mpiexec(), "-n", "2")).wait()
    assert (ended.code, ended.out.decode()) == (0, read), ended.err
