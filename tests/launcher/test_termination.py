"""How tasks end that do not end by themselves, or not all at once: timeouts, TERM and KILL, what is left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from test_launcher import GIVEN_BACK, STOPPED, Farm, Launch, gone, launch, linux, number_in, wait_until

from mpifarm.ended import Ended
from mpifarm.launcher.frames import Killed

__all__ = ["launch"]  # a fixture


def test_an_attempt_that_takes_too_long_is_terminated_and_keeps_its_output(launch: Launch) -> None:
    farm = launch()
    (end,) = farm.run(b"echo begun; exec sleep 600", timeout_s=1.0)
    assert (end.status, end.flags, end.out) == (-signal.SIGTERM, Ended.TIMED_OUT, b"begun\n")
    (after,) = farm.run(b"echo next", timeout_s=600.0)
    assert (after.status, after.flags, after.out) == (0, 0, b"next\n")


def test_an_attempt_that_ignores_its_timeout_is_killed(launch: Launch) -> None:
    (end,) = launch(grace_s=0.2).run(b"trap '' TERM; while :; do sleep 1; done", timeout_s=1.0)
    assert (end.status, end.flags) == (-signal.SIGKILL, Ended.TIMED_OUT)


def test_a_timeout_of_many_days_is_no_trouble(launch: Launch) -> None:
    (end,) = launch().run(b"sleep 0.1; echo done", timeout_s=60 * 86400.0)  # more milliseconds than an int holds
    assert end.out == b"done\n"


@pytest.mark.parametrize(
    ("command", "grace_s", "status"),
    [
        ("{ready}; exec sleep 600", 600.0, -signal.SIGTERM),
        # The child says so: before it is a program of its own, TERM would be lost on it.
        ("trap 'wait; exit 4' TERM; sh -c 'echo $PPID > ready; exec sleep 600' & wait", 600.0, 4),
        ("trap '' TERM; {ready}; while :; do sleep 1; done", 0.2, -signal.SIGKILL),
        ("sh -c 'trap \"\" TERM; {ready}; while :; do sleep 1; done' & wait", 0.2, -signal.SIGTERM),
    ],
    ids=["dies", "cleans up", "ignores TERM", "a child ignores TERM"],
)
def test_terminate_ends_the_whole_group_and_kills_after_the_grace(
    launch: Launch, tmp_path: Path, command: str, grace_s: float, status: int
) -> None:
    farm = launch(grace_s=grace_s)
    farm.start(command.format(ready="echo $$ > ready").encode(), b"echo never")
    pid = number_in(tmp_path / "ready")
    farm.launcher.terminate()
    running, waiting = farm.take(2)
    assert (running.status, running.flags, running.out) == (status, STOPPED, b"")
    assert waiting.flags == GIVEN_BACK
    wait_until(lambda: gone(pid))


@linux
def test_a_stopped_task_acts_on_term(launch: Launch, tmp_path: Path) -> None:
    farm = launch()
    farm.start(b"echo $$ > ready; kill -STOP $$; sleep 600")
    pid = number_in(tmp_path / "ready")
    wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    farm.launcher.terminate()
    (end,) = farm.take(1)
    assert (end.status, end.flags) == (-signal.SIGTERM, STOPPED)


def test_kill_does_not_wait_for_the_grace(launch: Launch, tmp_path: Path) -> None:
    farm = launch()
    farm.start(b"trap '' TERM; echo $$ > ready; while :; do sleep 1; done")
    number_in(tmp_path / "ready")
    farm.launcher.terminate()
    farm.launcher.kill()
    (end,) = farm.take(1)
    assert (end.status, end.flags) == (-signal.SIGKILL, STOPPED)


@pytest.mark.parametrize("how", ["terminate", "kill", "close"])
def test_a_process_group_that_a_task_has_made_ends_with_it(launch: Launch, tmp_path: Path, how: str) -> None:
    if subprocess.call(["sh", "-c", "command -v timeout"], stdout=subprocess.DEVNULL):
        pytest.skip("there is no timeout here")
    farm = launch(grace_s=0.2)
    farm.start(b"timeout 600 sh -c 'echo $$ > ready; exec sleep 600'; echo $?")  # timeout makes a group of its own
    pid = number_in(tmp_path / "ready")
    getattr(farm.launcher, how)()
    try:
        wait_until(lambda: gone(pid))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@linux
def test_what_is_about_to_end_belongs_to_the_task(launch: Launch) -> None:
    """bash's `exec > >(tee log)`: the leader does not wait for tee."""
    farm = launch()
    (end,) = farm.run(b"{ sleep 0.05; echo late; } &")
    assert (end.status, end.out, end.left) == (0, b"late\n", 0)


@linux
@pytest.mark.parametrize(
    ("line", "left"),
    [
        (b"sleep 600 & sleep 600 &", 2),
        (b"sh -c 'sleep 600; :' &", 2),
        (b"setsid -f sleep 600", 1),
        (b"setsid -f sh -c 'sleep 600; :'", 2),
        (b"true", 0),
        (b"sleep 600 & exit 3", 0),  # it has failed, and nobody takes it for done
    ],
)
def test_a_success_that_leaves_processes_behind_says_how_many_and_they_are_killed_in_the_end(
    launch: Launch, line: bytes, left: int
) -> None:
    farm = launch()
    (end,) = farm.run(line)
    assert end.left == left
    farm.launcher.close()
    killed = 1 if b"exit 3" in line else left
    assert farm.launcher.killed == Killed(killed, (100,) if killed else ())


@linux
def test_what_a_task_has_put_into_a_session_of_its_own_ends_with_its_timeout(launch: Launch, tmp_path: Path) -> None:
    farm = launch(grace_s=0.2)
    farm.run(b"setsid -f sh -c 'echo $$ > other; exec sleep 600'")
    other = number_in(tmp_path / "other")
    inner = b"trap '' TERM; echo $$ > inner; while :; do sleep 0.1; done"
    (end,) = farm.run(b'setsid -f sh -c "echo \\$\\$ > daemon; exec sleep 600"; setsid sh -c "%s"' % inner, timeout_s=1.0)
    assert end.flags == Ended.TIMED_OUT
    wait_until(lambda: all(gone(number_in(tmp_path / name)) for name in ("daemon", "inner")))
    assert not gone(other), "that was another task's"


def suspended_in_mid_run(launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Farm:
    """Return a farm whose helper has a clock that jumps by two hours when a task makes a file."""
    real, suspended = time.monotonic, tmp_path / "suspended"
    with monkeypatch.context() as patch:
        patch.setattr("time.monotonic", lambda: real() + 7200 * suspended.exists())
        return launch()


@pytest.mark.long
def test_a_timeout_counts_the_time_in_which_the_helper_was_awake_and_a_run_time_all_of_it(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (end,) = suspended_in_mid_run(launch, tmp_path, monkeypatch).run(
        b"sleep 0.2; : > suspended; sleep 2.5; echo done", timeout_s=3600.0
    )
    assert (end.status, end.flags, end.out) == (0, 0, b"done\n")
    assert end.seconds > 7200


@pytest.mark.long
def test_a_timeout_comes_however_often_the_helper_was_away(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (end,) = suspended_in_mid_run(launch, tmp_path, monkeypatch).run(b": > suspended; sleep 600", timeout_s=2.0)
    assert (end.status, end.flags) == (-signal.SIGTERM, Ended.TIMED_OUT)


@linux
@pytest.mark.long
@pytest.mark.parametrize("who", ["everybody", "the helper"])
def test_what_was_stopped_for_longer_than_its_timeout_goes_on_and_succeeds(
    launch: Launch, tmp_path: Path, who: str
) -> None:
    farm = launch()
    farm.start(b"echo $$ > leader; while [ ! -e go ]; do sleep 0.1; done; echo done", timeout_s=6.0)
    leader = number_in(tmp_path / "leader")
    if who == "everybody":
        os.killpg(leader, signal.SIGSTOP)
    os.kill(farm.handles[0].pid, signal.SIGSTOP)
    time.sleep(9)
    (tmp_path / "go").touch()
    os.kill(farm.handles[0].pid, signal.SIGCONT)
    os.killpg(leader, signal.SIGCONT)
    (end,) = farm.take(1)
    assert (end.status, end.flags, end.out) == (0, 0, b"done\n")
    assert end.seconds > 9
