"""What is seen of a real farm while it runs, on a real terminal and in a batch log."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

import pytest

from .farms import AS_ROOT, Farms, heed_signals, held, is_open_mpi, mpiexec, wait_until

STAMP = re.compile(r"mpifarm \d\d:\d\d:\d\d ")
ERASE = "\r\x1b[2K"


class Terminal:
    """A farm on a terminal of its own: of one process, or with an mpiexec, which alone has the terminal."""

    def __init__(self, directory: Path, width: int, *arguments: str, ranks: int = 0) -> None:
        self.leader, follower = os.openpty()
        self.resize(width)
        launched = [*mpiexec(), "-n", str(ranks)] if ranks else []
        alone = [] if ranks else ["--no-mpi"]
        command = [*launched, sys.executable, "-m", "mpifarm", *alone, "--threads", "2", *arguments, "tasks.txt"]
        environ = {**os.environ, **AS_ROOT, "TERM": "xterm"}
        self.farm = subprocess.Popen(
            command, cwd=directory, stdout=follower, stderr=follower, env=environ,
            preexec_fn=heed_signals,  # noqa: PLW1509  no threads here
        )  # fmt: skip
        os.close(follower)
        os.set_blocking(self.leader, False)
        self._read = b""

    def resize(self, width: int) -> None:
        fcntl.ioctl(self.leader, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))

    @property
    def written(self) -> str:
        self._drain()
        return self._read.decode()

    def _drain(self) -> None:
        with suppress(OSError):  # nothing new, or nobody writes any more
            while part := os.read(self.leader, 65536):
                self._read += part

    def end(self) -> str:
        """Wait for the end; return what was written."""

        def has_ended() -> bool:
            self._drain()
            return self.farm.poll() is not None

        wait_until(has_ended, "it ends")
        written = self.written
        os.close(self.leader)
        return written


def bars(written: str) -> list[str]:
    """Return the bars that were drawn."""
    return [part for part in re.split(r"\r\n|\r\x1b\[2K", written) if re.match(r" *\d+ %", part)]


@pytest.mark.parametrize("width", [200, 80, 40])
def test_on_a_terminal_a_bar_stands_below_all_that_is_said(farms: Farms, width: int) -> None:
    farms.tasks("echo out; echo err >&2", "sleep 0.5; printf torn", "echo why >&2; exit 3", held("last"))
    terminal = Terminal(farms.directory, width, "--retries", "0")
    wait_until(lambda: " 50 %" in terminal.written, "half of it is done")
    if width == 200:
        terminal.resize(30)
        wait_until(lambda: len(bars(terminal.written)[-1]) < 30, "the bar is narrower")
    (farms.directory / "go").touch()
    written = terminal.end()
    assert terminal.farm.returncode == 1
    drawn = bars(written)
    assert max(map(len, drawn)) < width
    assert "100 %" not in written
    lines = written.split("\r\n")
    seen = [line.rpartition(ERASE)[2] for line in lines]
    assert {"out", "err", "torn"} <= set(seen)
    assert [line for line in seen if " failed task " in line and STAMP.match(line)]
    assert " end    3 of 4 done, 1 failed (1 reason), in " in seen[-4]
    assert seen[-2].startswith("mpifarm: next: ") and seen[-1] == ""


def test_behind_an_mpiexec_a_bar_is_as_wide_as_the_terminal_that_is_left(farms: Farms) -> None:
    if is_open_mpi(mpiexec()[0]):
        pytest.skip("Open MPI's mpiexec passes on whole lines alone")
    farms.tasks("true", held("last"))
    terminal = Terminal(farms.directory, 36, "--bar", ranks=2)
    wait_until(lambda: " 50 %" in terminal.written, "half of it is done")
    narrow = bars(terminal.written)
    assert max(map(len, narrow)) < 36
    terminal.resize(120)
    wait_until(lambda: len(bars(terminal.written)[-1]) > 40, "the bar is wider")
    (farms.directory / "go").touch()
    terminal.end()
    assert terminal.farm.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_a_farm_finds_no_bar_where_he_types(farms: Farms, number: signal.Signals) -> None:
    farms.tasks("sleep 1000")
    terminal = Terminal(farms.directory, 100)
    wait_until(lambda: bool(bars(terminal.written)), "there is a bar")
    terminal.farm.send_signal(number)
    written = terminal.end()
    assert terminal.farm.returncode == 3
    assert "1 task is left; what is done is not run again\r\n" in written
    assert written.endswith("\r\n")


@pytest.mark.parametrize("arguments", [["--no-bar"], ["--quiet"]])
def test_who_wants_no_bar_has_none(farms: Farms, arguments: list[str]) -> None:
    farms.tasks("sleep 1.5")
    assert "\x1b" not in Terminal(farms.directory, 100, *arguments).end()


def test_a_batch_log_has_lines_now_and_then_and_no_bar(farms: Farms) -> None:
    farms.tasks(*(["sleep 0.2"] * 60), *(f"echo no in/{number} >&2; exit 3" for number in range(40)))
    ended = farms.run(3, "--threads", "2", "--retries", "0", "--report-every", "1s", "tasks.txt")
    assert ended.code == 1
    assert "\x1b" not in ended.err and "\r" not in ended.err
    timed = [STAMP.sub("", line) for line in ended.said if STAMP.match(line)]
    assert re.fullmatch(r"start  2 workers on 1 node, 4 slots; all up after [\d.]+ s \(last: \S+\)", timed[0])
    assert [line for line in timed if re.search(r"\d+ %  [\d,]+ done  \d+ failed  \d/4 busy", line)]
    assert len([line for line in timed if line.startswith("failed task ")]) == 1
    assert 1 <= len([line for line in timed if re.search(r"failed \d+ more .* exit code 3, \"no in/#\"", line)]) <= 4
    assert re.match(r"end    60 of 100 done, 40 failed \(1 reason\), in \d+ s; slots \d+ % busy", timed[-1])
