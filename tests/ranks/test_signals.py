"""What a rank makes of signals, in this process."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator

import pytest

from mpifarm.ranks.signals import Signals
from mpifarm.schedule.answers import How

TAKEN = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


@pytest.fixture
def heard() -> list[str]:
    return []


@pytest.fixture
def signals(heard: list[str]) -> Iterator[Signals]:
    before = {number: signal.getsignal(number) for number in TAKEN}
    for number in TAKEN:
        signal.signal(number, signal.SIG_DFL)
    yield Signals(lambda: heard.append("heard"))
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_second_int_means_at_once_and_the_guardian_learns_that_both_were_heard(
    signals: Signals, heard: list[str]
) -> None:
    assert (signals.take(), heard) == ([], [])
    for number in (signal.SIGUSR2, signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        os.kill(os.getpid(), number)
    asked = [(How.DRAIN, "SIGUSR2"), (How.KILL, "SIGINT"), (How.KILL, "SIGTERM"), (How.KILL_NOW, "SIGINT")]
    assert signals.take() == asked
    assert heard == ["heard"]


def test_a_signal_wakes_whoever_waits_for_the_descriptor(signals: Signals) -> None:
    ready = select.poll()
    ready.register(signals.descriptor, select.POLLIN)
    assert not ready.poll(0)
    os.kill(os.getpid(), signal.SIGTERM)
    assert ready.poll(0)
    signals.clear()
    assert not ready.poll(0)
