"""The processes of this host: whose children they are, in which session, and that a signal reaches all of a task."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from mpifarm.launcher import processes
from mpifarm.launcher.processes import Alive

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")

#      1 - 10 - 100 - 1000
#        \ 11   \ 101          50 - 51, and 51 - 50: a number was used again while they were read
LIVING = {
    1: Alive(0, 1, 1),
    10: Alive(1, 10, 10),
    11: Alive(1, 11, 10),
    100: Alive(10, 10, 10),
    101: Alive(10, 101, 101),
    1000: Alive(100, 10, 10),
    50: Alive(51, 50, 50),
    51: Alive(50, 50, 50),
}


@pytest.mark.parametrize(
    ("ancestors", "found"),
    [
        ((), set()),
        ((10,), {10, 100, 101, 1000}),
        ((100, 11), {11, 100, 1000}),
        ((50,), {50, 51}),
        ((7,), set()),
    ],
)
def test_descendants_are_found_through_all_generations_and_only_those_that_live(
    ancestors: tuple[int, ...], found: set[int]
) -> None:
    assert processes.descendants(LIVING, ancestors) == found


def test_a_session_has_the_process_groups_of_all_that_live_in_it() -> None:
    assert processes.sessions_of(LIVING) == {1: {1}, 10: {10, 11}, 101: {101}, 50: {50}}


@linux
def test_the_census_knows_this_process_and_no_zombie() -> None:
    mine = os.getpid()
    assert processes.census()[mine] == Alive(os.getppid(), os.getpgid(0), os.getsid(0))
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert child.pid not in processes.census()
        assert child.pid in (processes.Children().pids() or {child.pid})  # a child it is, until it is reaped


TWO_GROUPS = """
import os, time
pid = os.fork()
if not pid:
    os.setpgid(0, 0)
    print(os.getpid(), flush=True)
time.sleep(60)
"""


@linux
def test_a_signal_reaches_every_group_of_a_session() -> None:
    with subprocess.Popen([sys.executable, "-c", TWO_GROUPS], stdout=subprocess.PIPE, start_new_session=True) as leader:
        assert leader.stdout
        other = int(leader.stdout.readline())
        sessions = processes.sessions_of(processes.census())
        reached = processes.signal_session(leader.pid, signal.SIGKILL, sessions)
        assert (sessions[leader.pid], reached) == ({leader.pid, other}, True)
        assert leader.stdout.read() == b"", "all who might write to it are gone"
    assert not processes.signal_session(0, signal.SIGKILL, sessions), "session 0 is nobody's"


def test_what_is_gone_has_no_session_and_no_environment() -> None:
    with subprocess.Popen(["true"]) as child:
        pass
    assert (processes.session_of(child.pid), processes.environ_of(child.pid)) == (0, [])
    assert not processes.signal_session(child.pid, 0, {})
