"""When a rank is killed that does not heed its signals, by a clock of the test."""

from __future__ import annotations

import math
import signal

import pytest

from mpifarm.launcher.launcher import ANSWER_S
from mpifarm.launcher.patience import INSIST_S, START_INSIST_S, Patience, Word
from mpifarm.ranks import leaving
from mpifarm.schedule import silence

INT, TERM, HUP, USR1, USR2 = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2
NEVER = math.inf


def deadline(*told: int, start_s: float = math.inf) -> float:
    """Return when the rank is killed that has said so, each a second after the other."""
    patience = Patience(start_s)
    for now, word in enumerate(told):
        assert patience.lost(now) is None
        patience.told(word, now)
    assert patience.due_at == NEVER or patience.lost(patience.due_at)
    return patience.due_at


@pytest.mark.parametrize(
    ("told", "killed_at"),
    [
        ((), NEVER),
        ((INT,), START_INSIST_S),
        ((TERM,), START_INSIST_S),
        ((HUP, INT, INT), START_INSIST_S),
        ((USR1, USR2), NEVER),
        ((TERM, Word.MANAGES), NEVER),
        ((INT, Word.MANAGES, TERM), NEVER),
        ((INT, INT, Word.MANAGES), 2 + INSIST_S),
        ((INT, INT, Word.WORKS, Word.HEARD), NEVER),
        ((Word.MANAGES, INT), NEVER),
        ((Word.MANAGES, INT, TERM, HUP, USR2), NEVER),
        ((Word.MANAGES, INT, INT), 2 + INSIST_S),
        ((Word.MANAGES, INT, TERM, INT, INT), 3 + INSIST_S),
        ((Word.MANAGES, INT, Word.HEARD, INT, Word.HEARD), 3 + INSIST_S),
        ((Word.WORKS, INT, INT), 2 + INSIST_S),
        ((Word.WORKS, INT, INT, Word.HEARD), NEVER),
        ((Word.WORKS, INT, Word.HEARD, INT), NEVER),
        ((Word.WORKS, INT, INT, Word.HEARD, INT, INT), 5 + INSIST_S),
    ],
)
def test_a_rank_is_killed_after_a_second_int_that_it_does_not_heed_and_before_mpi_after_any_signal(
    told: tuple[int, ...], killed_at: float
) -> None:
    assert deadline(*told) == killed_at


@pytest.mark.parametrize(("told", "killed_at"), [((), 5.0), ((Word.MANAGES,), NEVER), ((Word.WORKS,), NEVER)])
def test_a_rank_is_killed_if_mpi_does_not_start_in_time(told: tuple[int, ...], killed_at: float) -> None:
    assert deadline(*told, start_s=5.0) == killed_at
    assert "MPI does not start" in (Patience(5.0).lost(5.0) or "")


def test_a_second_int_leaves_time_for_a_stop_in_which_every_other_patience_is_used_up() -> None:
    assert ANSWER_S < silence.STOP_PATIENCE_S, "a worker says itself that its helper is lost"
    assert silence.STOP_PATIENCE_S + 2 * leaving.GOODBYE_S < INSIST_S
