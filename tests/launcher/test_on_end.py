"""The command of --on-end: when it runs, with what, and for how long."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mpifarm.launcher.on_end import OnEnd

ENVIRON = {"PATH": os.environ["PATH"], "MINE": "yes"}


def never() -> bool:
    return False


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def on_end(command: str) -> OnEnd:
    return OnEnd(command, "/bin/sh", ENVIRON)


def gone(pid: int) -> bool:
    """Wait until a process has ended, some seconds at the most."""
    for _ in range(500):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


def test_it_has_the_environment_of_a_task_and_the_sums_and_reads_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    said = on_end("echo $MINE $MPIFARM_LEFT $MPIFARM_EXIT; cat; pwd > where").run({"LEFT": 3, "EXIT": 1}, 30, never)
    assert said == ""
    assert capfd.readouterr() == ("", "yes 3 1\n")
    assert Path("where").read_text() == f"{os.getcwd()}\n"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("exit 7", "--on-end: has ended with exit code 7"),
        ("kill -9 $$", "--on-end: was killed by signal 9"),
        ("kill -9 $PPID; sleep 60", "--on-end: the process that starts it was killed"),
    ],
)
def test_what_becomes_of_it_is_told(command: str, said: str) -> None:
    assert on_end(command).run({}, 30, never) == said


def test_it_is_not_run_if_there_is_no_end() -> None:
    on_end("touch ran").dismiss()
    assert not Path("ran").exists()


def test_what_takes_too_long_is_ended_with_all_of_its_session() -> None:
    said = on_end("trap '' TERM; echo $$ > pid; sleep 8 & sleep 8").run({}, 0.5, never)
    assert said == "--on-end: had not ended after 0 s: it is ended"
    assert gone(int(Path("pid").read_text()))


def test_whoever_presses_ctrl_c_does_not_wait_for_it() -> None:
    said = on_end("echo $$ > pid; touch began; sleep 600").run({}, 600, Path("began").exists)
    assert said == "--on-end: ended, since a signal has come"
    assert gone(int(Path("pid").read_text()))


def test_what_it_leaves_in_the_background_goes_on() -> None:
    said = on_end("sh -c 'while [ ! -e go ]; do sleep 0.02; done; touch went' > /dev/null 2>&1 &").run({}, 30, never)
    assert said == ""
    Path("go").touch()
    for _ in range(500):
        if Path("went").exists():
            return
        time.sleep(0.01)
    pytest.fail("it was ended")
