"""A node on which everything fails, with real ranks: what failed there is done elsewhere, and no task pays for it."""

from __future__ import annotations

import os

import pytest

from .farms import Farms, held, wait_until

SLOTS = 2
SICK = 2  # a rank
WAYS = {
    "another working directory": "cd /",
    "a working directory that is gone": "mkdir gone; cd gone; rmdir ../gone",
    "a list that it cannot see": "cd /proc/self",
    "no programs": "PATH=/nowhere",
}


def on_the_sick(command: str) -> str:
    """Return what gives every rank a node of its own, and lets the one that is SICK run *command* first."""
    rank = "${PMI_RANK:-$OMPI_COMM_WORLD_RANK}"
    return f"export SLURMD_NODENAME=n{rank}; if [ {rank} = {SICK} ]; then {command}; fi"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("retries", ["0", "2"])
def test_what_fails_on_a_sick_node_is_done_elsewhere(farms: Farms, way: str, retries: str) -> None:
    offsets = farms.tasks(*(f"sleep 0.02 && echo {number}" for number in range(60)))
    options = ["--threads", str(SLOTS), "--retries", retries, "tasks.txt"]
    ended = farms.run(3, *options, before=on_the_sick(WAYS[way]))
    assert ended.code == 0
    assert sorted(farms.progress()) == offsets
    assert sorted(map(int, ended.out.split())) == list(range(60))
    done_on = {line.split()[1].rpartition("-")[0] for line in farms.file("progress").read_text().splitlines()}
    assert done_on == {"n1"}


@pytest.mark.short
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take /bin/sh away")
def test_a_node_without_a_shell_is_sick(farms: Farms) -> None:
    offsets = farms.tasks(*(f"sleep 0.02 && echo {number}" for number in range(60)))
    hide = 'exec unshare --mount sh -c \'mount --bind /dev/null "$(readlink -f /bin/sh)"; exec "$0" "$@"\' "$0" "$@"'
    ended = farms.run(3, "--threads", str(SLOTS), "--retries", "0", "tasks.txt", before=on_the_sick(hide))
    assert ended.code == 0
    assert sorted(farms.progress()) == offsets


@pytest.mark.parametrize("slots", [1, 4])
def test_a_node_on_trial_is_back_though_all_others_are_busy(farms: Farms, slots: int) -> None:
    long = [held(number) for number in range(slots)]
    failing = ["sleep 0.2; exit 1"] * (3 * slots)
    offsets = farms.tasks(*long, *failing, *(f"sleep 0.1; echo {number}" for number in range(20)))
    farm = farms.start(3, "--threads", str(slots), "tasks.txt", before=on_the_sick(":"))
    wait_until(lambda: farms.progressed(20), "the node works on, while the long tasks run on the other")
    assert "all failed" in farms.file("log").read_text()
    assert farms.progress() == [offset for offset in farms.progress() if offset in offsets[len(long + failing) :]]
    (farms.directory / "go").touch()
    assert farm.wait().code == 1
    assert farms.left() == offsets[len(long) : len(long + failing)]


def test_tasks_that_fail_everywhere_are_charged_and_no_node_is_given_up(farms: Farms) -> None:
    farms.tasks(*(["exit 7"] * 40), *(f"echo {number}" for number in range(20)))
    ended = farms.run(3, "--threads", str(SLOTS), "--retries", "1", "tasks.txt", before=on_the_sick(":"))
    assert ended.code == 1
    assert sorted(map(int, ended.out.split())) == list(range(20))
    assert len(farms.left()) == 40
