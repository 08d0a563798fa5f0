"""The guardian: its patience with a rank, by a clock of the test; and real ranks that do not come back."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mpifarm.launcher import termination
from mpifarm.launcher.guardian import INSIST_S, START_INSIST_S, Patience, Word
from mpifarm.launcher.launcher import ANSWER_S, fork_helpers
from mpifarm.ranks import leaving
from mpifarm.schedule import silence

INT, TERM, HUP, USR1, USR2 = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2
NEVER = 1e9


def deadline(*told: int, start_s: float = math.inf) -> float:
    """Return when the rank is killed that has said so, each a second after the other."""
    patience = Patience(start_s)
    for now, word in enumerate(told):
        assert patience.lost(now) is None
        patience.told(word, now)
    assert patience.lost(NEVER) is None or patience.lost(patience.due_at) is not None
    return patience.due_at if patience.lost(NEVER) else NEVER


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
        ((INT, INT, Word.MANAGES), START_INSIST_S),
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
    assert ANSWER_S + termination.GRACE_S < silence.STOP_PATIENCE_S, "a worker says itself that its helper is lost"
    assert silence.STOP_PATIENCE_S + 2 * leaving.GOODBYE_S < INSIST_S


def test_a_guardian_goes_by_a_name_of_its_own_and_holds_neither_standard_output_nor_the_directory(tmp_path: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("looks at /proc")
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        crew = fork_helpers(1, {})
    place = Path(f"/proc/{crew.guard.pid}")
    assert (place / "comm").read_text() == "mpifarm-guard\n"
    held = {int(entry.name): os.readlink(entry) for entry in (place / "fd").iterdir()}
    assert {held.pop(0), held.pop(1)} == {"/dev/null"}
    assert held.pop(2) == os.readlink("/proc/self/fd/2")
    assert not [name for name in held.values() if not name.startswith(("pipe:", "/proc/"))]
    assert os.readlink(place / "cwd") == "/"
    crew.dismiss()
    assert not place.exists()


BLOCKED = """if True:
    import ctypes, os, signal, sys
    from mpifarm.launcher import guardian
    from mpifarm.launcher.launcher import Launcher, fork_helpers
    guardian.INSIST_S = guardian.START_INSIST_S = 0.5
    crew = fork_helpers(1, os.environ)
    signal.set_wakeup_fd(crew.guard.wakeup, warn_on_full_buffer=False)
    launcher = Launcher(crew)
    if sys.argv[1]:
        launcher.ready(manages=sys.argv[1] == "manages")
    launcher.set_up("nid0001", 1, 1)
    launcher.start([(0, 1, 1, 0.0, b"echo $$ > task; sleep 600")])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    print("ready", flush=True)
    mutex, libc = ctypes.create_string_buffer(256), ctypes.CDLL(None)
    while True:
        libc.pthread_mutex_lock(mutex)  # the second time it never comes back
"""


@pytest.mark.parametrize(
    ("says", "numbers"),
    [("", (INT,)), ("", (TERM,)), ("manages", (INT, INT)), ("works", (INT, INT)), ("works", (TERM, INT, INT))],
)
def test_a_signal_ends_a_rank_in_which_c_code_does_not_come_back_and_its_tasks(
    tmp_path: Path, says: str, numbers: tuple[int, ...]
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BLOCKED, says], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as rank:
        assert rank.stdout and rank.stderr
        assert rank.stdout.readline() == "ready\n"
        for number in numbers:
            rank.send_signal(number)
            while number in pending(rank.pid):  # two that wait are one
                pass
        _, err = rank.communicate(timeout=40)  # guardian and helper have closed what they had
    assert rank.returncode == -signal.SIGKILL
    (said,) = err.splitlines()
    assert "this process does not end after a" in said


def pending(pid: int) -> set[int]:
    """Return the signals that were sent to a process and have not arrived."""
    words = dict(line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    waiting = int(words["ShdPnd"], 16) | int(words["SigPnd"], 16)
    return {number for number in range(1, 65) if waiting >> (number - 1) & 1}


def test_one_signal_does_not_end_a_rank_whose_mpi_has_started(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BLOCKED, "manages"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as rank:
        assert rank.stdout
        assert rank.stdout.readline() == "ready\n"
        rank.send_signal(TERM)
        with pytest.raises(subprocess.TimeoutExpired):
            rank.wait(3)
        rank.kill()


def test_that_no_helper_can_be_forked_is_an_error_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = os.fork, iter((True, False))

    def fork() -> int:
        if next(calls):
            return real()
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)  # in the guardian it is the second one
    with pytest.raises(OSError, match="temporarily unavailable"):
        fork_helpers(1, {})
