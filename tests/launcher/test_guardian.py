"""The guardian of real ranks that do not come back, and what it holds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from mpifarm.launcher.launcher import fork_helpers

INT, TERM = signal.SIGINT, signal.SIGTERM


def test_a_guardian_goes_by_a_name_of_its_own_and_holds_neither_standard_output_nor_the_directory(tmp_path: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("looks at /proc")
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        crew = fork_helpers(1, {})
    place = Path(f"/proc/{crew.guard.pid}")
    until = time.monotonic() + 20
    while not (held := held_by(place)).get(1) == "/dev/null" == held.get(0):
        assert time.monotonic() < until, held
    assert (place / "comm").read_text() == "mpifarm-guard\n"
    assert held[2] == os.readlink("/proc/self/fd/2")
    assert all(held[number].startswith(("pipe:", "/proc/")) for number in held.keys() - {0, 1, 2})
    assert os.readlink(place / "cwd") == "/"
    crew.dismiss()
    assert not place.exists()


FARM = """if True:
    import os, signal, sys, time
    from mpifarm.launcher.launcher import Launcher, fork_helpers
    crew = fork_helpers(64, os.environ)
    launcher = Launcher(crew)
    launcher.ready(manages=True)
    launcher.set_up("nid0001", 2, 1)
    stray = b"setsid sh -c 'echo $$ > stray%d; exec sleep 600' & echo $$ > task%d; sleep 600"
    launcher.start([(n, 1 + n, 1, 0.0, stray % (n, n)) for n in (0, 1)])
    while not all(os.path.exists(name) and os.path.getsize(name) for name in ("stray0", "stray1", "task0", "task1")):
        time.sleep(0.01)
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for handle in crew.helpers:
            os.kill(handle.pid, number)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_tasks_have_started_ends_when_rank_and_helpers_are_killed_together_in_sessions_of_its_own_too(
    tmp_path: Path,
) -> None:
    rank = subprocess.run([sys.executable, "-c", FARM], cwd=tmp_path, check=False)
    assert rank.returncode == -signal.SIGKILL
    pids = [int((tmp_path / f"{what}{number}").read_text()) for what in ("task", "stray") for number in (0, 1)]
    until = time.monotonic() + 20
    while left := [pid for pid in pids if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < until, left


def held_by(place: Path) -> dict[int, str]:
    """Return what a process has open, by number."""
    held: dict[int, str] = {}
    for entry in (place / "fd").iterdir():
        with suppress(FileNotFoundError):
            held[int(entry.name)] = os.readlink(entry)
    return held


BLOCKED = """if True:
    import ctypes, os, signal, sys
    from mpifarm.launcher import patience
    from mpifarm.launcher.launcher import Launcher, fork_helpers
    patience.INSIST_S = patience.START_INSIST_S = 0.5
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


@pytest.mark.long
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


@pytest.mark.long
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
