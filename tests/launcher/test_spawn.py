"""How a task is started: the same by posix_spawn and, where that cannot make a session, by the other ways."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mpifarm
from mpifarm.launcher import processes, spawn

ENVIRON = {b"PATH": b"/usr/bin:/bin", b"A": b"\xff b"}

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")


@pytest.fixture(params=["posix_spawn", "popen", "fork"])
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start by this way in the test."""
    monkeypatch.setattr(spawn, "spawns_sessions", lambda: request.param == "posix_spawn")
    if request.param == "fork":

        def fork(path: bytes, argv: list[bytes], environ: spawn.Environ, stdout: int, stderr: int) -> int:
            return spawn._fork(path, argv, environ, ((stdout, 1), (stderr, 2)))

        monkeypatch.setattr(spawn, "_popen", fork)
    yield request.param


def run(tmp_path: Path, command: bytes) -> tuple[int, bytes, bytes]:
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        _, status = os.waitpid(spawn.spawn(command, ENVIRON, out.fileno(), err.fileno()), 0)
    return os.waitstatus_to_exitcode(status), (tmp_path / "out").read_bytes(), (tmp_path / "err").read_bytes()


def test_a_line_is_run_with_its_output_and_its_exit_code(how: str, tmp_path: Path) -> None:
    assert run(tmp_path, b'echo "$A"; echo err >&2; exit 7') == (7, b"\xff b\n", b"err\n")
    assert run(tmp_path, b"kill -9 $$") == (-9, b"", b"")
    assert run(tmp_path, b"-x; exit 4")[0] == 4


@pytest.mark.parametrize("length", [spawn.LONGEST_ARGUMENT, spawn.LONGEST_ARGUMENT + 1, 1 << 20])
def test_a_line_of_any_length_is_run(how: str, tmp_path: Path, length: int) -> None:
    line = b": " + b"x" * (length - 12) + b"; echo end"
    assert (len(line), run(tmp_path, line)) == (length, (0, b"end\n", b""))


def is_inheritable(descriptor: int) -> bool:
    try:
        return os.get_inheritable(descriptor)
    except OSError:  # the one that listdir used
        return False


@linux
def test_a_task_is_a_session_with_clean_signals_and_descriptors(how: str, tmp_path: Path) -> None:
    before = {number: signal.getsignal(number) for number in spawn._IGNORED}
    with (tmp_path / "open").open("w"):
        spawn.ignore_signals()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGCHLD})
        try:
            status, out, _ = run(tmp_path, b"exec cat /proc/self/status /proc/self/stat")
            _, descriptors, _ = run(tmp_path, b"exec ls /proc/self/fd")
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            for number, handler in before.items():
                signal.signal(number, handler)
    assert status == 0
    lines = out.decode().splitlines()
    facts = dict(line.split(":\t", 1) for line in lines[:-1])
    assert int(facts["SigBlk"], 16) == 0
    ignored = {number for number in signal.valid_signals() if int(facts["SigIgn"], 16) >> (number - 1) & 1}
    assert ignored & set(spawn._RESET) == set()
    pid, _, _, parent, group, session = lines[-1].split()[:6]
    assert pid == group == session
    assert int(parent) == os.getpid()
    inherited = {int(name) for name in os.listdir("/proc/self/fd") if is_inheritable(int(name))}
    assert len(set(map(int, descriptors.split())) - inherited - {0, 1, 2}) == 1  # what ls has opened to look


def test_what_cannot_be_started_is_an_error_here_and_leaves_nothing(how: str, tmp_path: Path) -> None:
    before = processes.Children().pids()
    (tmp_path / "text").write_text("echo\n")
    with (tmp_path / "out").open("wb") as out:
        files = out.fileno(), out.fileno()
        with pytest.raises(FileNotFoundError):
            spawn.spawn_program(b"/no/such/program", [b"x"], ENVIRON, *files)
        with pytest.raises(PermissionError):
            spawn.spawn_program(os.fsencode(tmp_path / "text"), [b"x"], ENVIRON, *files)
        with pytest.raises((OSError, ValueError)):
            spawn.spawn_program(b"/bin/true", [b"true"], {**ENVIRON, b"": b"nameless"}, *files)
        with pytest.raises(OSError, match="too long"):
            spawn.spawn_program(b"/bin/true", [b"true", b"x" * (1 << 22)], ENVIRON, *files)
    assert processes.Children().pids() == before


NO_SETSID = """
import os
_spawn = os.posix_spawn
def posix_spawn(path, argv, env, *, setsid=False, **more):
    if setsid:
        raise NotImplementedError("posix_spawn: setsid unavailable on this platform")
    return _spawn(path, argv, env, **more)
os.posix_spawn = posix_spawn
"""


@pytest.mark.long
@pytest.mark.parametrize("lacking", [NO_SETSID, "import os\ndel os.posix_spawn\n"], ids=["setsid", "posix_spawn"])
def test_a_python_whose_posix_spawn_makes_no_sessions_runs_a_farm(tmp_path: Path, lacking: str) -> None:
    """As conda-forge's and uv's, which are built for an old C library."""
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "sitecustomize.py").write_text(lacking)
    lines = ["echo 1", "ls tasks.txt", "kill -9 $$", f": {'x' * spawn.LONGEST_ARGUMENT}; echo long", "sleep 60", "exit 3"]
    (tmp_path / "tasks.txt").write_text("\n".join(lines) + "\n")
    path = f"{tmp_path / 'place'}:{Path(mpifarm.__file__).parent.parent}"
    command = [sys.executable, "-m", "mpifarm", "--no-mpi", "--threads", "1", "--retries", "0", "--timeout", "2"]
    ended = subprocess.run(
        [*command, "tasks.txt"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, b"1\ntasks.txt\nlong\n"), ended.stderr
    rows = [line.split("\t") for line in (tmp_path / "joblog.tasks.txt.tfin").read_text().splitlines()[1:]]
    assert [(row[6], row[7]) for row in rows] == [("0", "0"), ("0", "0"), ("0", "9"), ("0", "0"), ("0", "15"), ("3", "0")]
