"""A node without room for another process: how many run, when one more is tried, and when it is given up."""

from __future__ import annotations

import errno

import pytest

from mpifarm.launcher.scarcity import HOPELESS_S, LONGEST_PAUSE_S, PAUSE_S, Scarcity, is_scarcity


def test_without_trouble_everything_may_start() -> None:
    assert Scarcity().allows(4096, 0.0)


def test_as_many_as_run_may_run_and_one_more_after_a_pause() -> None:
    node = Scarcity()
    node.failed(running=3, now=10.0)
    assert node.allows(2, 10.0)
    assert not node.allows(3, 10.0)
    assert node.retry_at == 10.0 + PAUSE_S
    assert node.allows(3, 10.0 + PAUSE_S)


def test_a_task_that_takes_the_place_of_one_that_ended_proves_nothing() -> None:
    node = Scarcity()
    node.failed(running=3, now=10.0)
    node.started(running=3, now=10.1)
    assert not node.allows(3, 10.2)


def test_each_further_failure_doubles_the_pause_up_to_a_bound() -> None:
    node, now, pauses = Scarcity(), 0.0, []
    for _ in range(7):
        node.failed(running=1, now=now)
        pauses.append(node.retry_at - now)
        now = node.retry_at
    assert pauses == [1, 2, 4, 8, 16, 16, 16] == [min(PAUSE_S * 2**n, LONGEST_PAUSE_S) for n in range(7)]


def test_when_one_more_has_started_twice_as_many_may_a_second_later() -> None:
    node = Scarcity()
    node.failed(running=3, now=10.0)
    node.failed(running=3, now=11.0)
    node.started(running=4, now=13.0)
    assert node.allows(7, 13.0)
    assert not node.allows(8, 13.0)
    assert node.allows(8, 13.0 + PAUSE_S)
    node.failed(running=8, now=14.0)
    assert node.retry_at == 14.0 + PAUSE_S, "the pauses begin anew"


@pytest.mark.parametrize(("running", "hopeless"), [(0, True), (1, False)])
def test_it_is_hopeless_when_nothing_runs_and_nothing_starts_for_a_minute(running: int, hopeless: bool) -> None:
    node = Scarcity()
    node.failed(running=1, now=0.0)
    node.failed(running, now=500.0)
    node.failed(running, now=500.0 + HOPELESS_S / 2)
    assert not node.is_hopeless(500.0 + HOPELESS_S - 1)
    assert node.is_hopeless(500.0 + HOPELESS_S) == hopeless


def test_a_start_ends_the_minute() -> None:
    node = Scarcity()
    node.failed(0, now=0.0)
    node.started(1, now=HOPELESS_S - 1)
    node.failed(0, now=HOPELESS_S)
    assert not node.is_hopeless(HOPELESS_S + 1)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE])
def test_what_the_node_lacks_is_told_from_what_the_command_lacks(number: int) -> None:
    assert is_scarcity(OSError(number, ""))
    assert not is_scarcity(OSError(errno.ENOENT, ""))
    assert not is_scarcity(OSError(errno.E2BIG, ""))
