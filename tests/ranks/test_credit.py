"""How many tasks a worker asks for."""

from __future__ import annotations

from fakes import reports

from .played import Rank


def test_it_asks_for_more_than_its_slots_if_tasks_are_short_and_only_then(rank: Rank) -> None:
    for seconds, ahead in ((0.001, True), (5.0, False)):
        for _ in range(50):
            rank.grant((0, 9))
            rank.launcher.end(0, seconds=seconds)
            rank.worker.turn(1.0, backlog=0)
        assert (reports(rank.sent)[-1].credit > 2) is ahead
