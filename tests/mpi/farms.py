"""Real farms: how to start one, find its processes, signal them, end them all, and read the files they leave."""

from __future__ import annotations

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

DEADLINE_S = 40.0
MARK = "MPIFARM_TEST_MARK"  # in the environment of every process of a farm, its tasks included

_RANK = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")
_OUTER = ("THREADS", "SLURM_", "PMI", "OMPI_COMM_", "MPIFARM_")  # of a job that the tests themselves may run in
_SHARED_MEMORY = {"OMPI_MCA_pml": "ob1", "OMPI_MCA_btl": "self,sm"}  # Open MPI then starts a second faster
_NONE: Mapping[str, str] = {}
AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


@cache
def is_open_mpi(mpiexec: str) -> bool:
    """Say whether *mpiexec* belongs to Open MPI."""
    said = subprocess.run([mpiexec, "--version"], env={**os.environ, **AS_ROOT}, capture_output=True, check=True)
    return b"Open MPI" in said.stdout or b"OpenRTE" in said.stdout  # as Open MPI 4 calls itself


def mpiexec() -> list[str]:
    """Return the mpiexec that stands beside this interpreter, with the options that a laptop needs."""
    path = shutil.which("mpiexec", path=str(Path(sys.executable).parent))
    if path is None:
        missing = f"no mpiexec beside {sys.executable}: pip install .[mpich]"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return [path, "--oversubscribe", "--bind-to", "none"] if is_open_mpi(path) else [path]


def held(name: int | str) -> str:
    """Return a task that says it has started, by the file held.NAME, and ends when there is a file named go."""
    return f"touch held.{name}; until [ -e go ]; do sleep 0.05; done; echo {name}"


def meeting(count: int) -> list[str]:
    """Return *count* tasks that succeed only if all of them run at the same time."""
    wait = f"n=0; until [ $(ls met.* | wc -l) = {count} ]; do n=$((n + 1)); [ $n -lt 400 ] || exit 1; sleep 0.05; done"
    return [f"touch met.{number}; {wait}" for number in range(count)]


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Poll until *condition* holds; fail when it does not in time."""
    until = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > until:
            pytest.fail(f"not within {DEADLINE_S:.0f} s: {what}")
        time.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Process:
    """A live process of a farm."""

    name: str  # as killall knows it
    pid: int
    parent: int
    arguments: list[str]
    environ: dict[str, str]

    @property
    def guards(self) -> bool:
        """Whether it is the guardian of a rank."""
        return self.name == "mpifarm-guard"

    @property
    def farms(self) -> bool:
        """Whether it is one of ours: a rank, a guardian or a helper."""
        return [word for word in self.arguments[1:4] if word != "-I"][:2] == ["-m", "mpifarm"]

    @property
    def rank(self) -> int | None:
        """Its rank, if it is one or the guardian or a helper of one."""
        if not self.farms:
            return None
        return next((int(self.environ[name]) for name in _RANK if name in self.environ), None)


def live_processes(mark: str) -> Iterator[Process]:
    """Yield the processes with *mark* in their environment; zombies have none."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environ = os.fsdecode((entry / "environ").read_bytes())
            if f"{MARK}={mark}\0" not in environ:
                continue
            arguments = os.fsdecode((entry / "cmdline").read_bytes()).split("\0")[:-1]
            stat = (entry / "stat").read_text()
        except OSError:  # gone meanwhile, or somebody else's
            continue
        variables = dict(word.split("=", 1) for word in environ.split("\0") if "=" in word)
        name = stat.partition("(")[2].rpartition(")")[0]
        yield Process(name, int(entry.name), int(stat.rpartition(")")[2].split()[1]), arguments, variables)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a farm ended, as seen from whoever started it."""

    code: int
    out: bytes
    err: str

    @property
    def said(self) -> list[str]:
        """What mpifarm said on standard error; the launcher's own lines are not among it."""
        return [line for line in self.err.splitlines() if re.match(r"mpifarm(:| \d\d:\d\d:\d\d) ", line)]


def heed_signals() -> None:
    """Undo what nohup, or a shell that puts the tests in its background, has set: an ignored signal stays ignored."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Farm:
    """A farm that was started."""

    def __init__(self, command: list[str], launched: bool, cwd: Path, environ: dict[str, str], capture: Path) -> None:
        """*launched*: it has an mpiexec. What it prints goes to files named after *capture*."""
        self._launched = launched
        self._out, self._err = capture.with_suffix(".out"), capture.with_suffix(".err")
        self._mark = environ[MARK]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                command, cwd=cwd, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                start_new_session=True, preexec_fn=heed_signals,  # noqa: PLW1509  no threads here
            )  # fmt: skip
        self.pid = self._process.pid  # of mpiexec, or of the farm itself if there is none

    def wait(self) -> Ended:
        """Wait for the end, and until no process of this farm is alive, neither rank nor helper nor task."""
        try:
            code = self._process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the farm has not ended: {self.err()}")
        wait_until(lambda: not self.processes(), "every process of the farm is gone")
        return Ended(code, self._out.read_bytes(), self.err())

    def err(self) -> str:
        """Return what stands on standard error so far."""
        return self._err.read_text(errors="replace")

    def processes(self) -> list[Process]:
        """Return what is alive of this farm, mpiexec and tasks included."""
        return list(live_processes(self._mark))

    def rank(self, rank: int) -> int:
        """Return the pid of *rank*."""
        if not self._launched:
            return self.pid
        found = {process.pid: process for process in self.processes() if process.rank == rank}
        (pid,) = [process.pid for process in found.values() if process.parent not in found]  # its guardian is its child
        return pid

    def signal(self, number: int, rank: int | None = 0) -> None:
        """Send a signal to *rank*; None: to mpiexec."""
        os.kill(self.pid if rank is None else self.rank(rank), number)

    def kill(self) -> None:
        """Kill all that is left."""
        self._process.kill()
        self._process.wait()
        wait_until(self._none_left, "what was killed is gone")

    def _none_left(self) -> bool:
        left = self.processes()
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        return not left


class Farms:
    """Starts farms in one directory, and reads what they leave there."""

    def __init__(self, directory: Path, scratch: Path) -> None:
        self.directory = directory
        self._scratch = scratch
        self._started: list[Farm] = []

    def tasks(self, *lines: str) -> list[int]:
        """Write tasks.txt; return the offset of every line, comments not counted."""
        (self.directory / "tasks.txt").write_text("".join(f"{line}\n" for line in lines))
        offsets = [0]
        for line in lines:
            if not line.startswith("#"):
                offsets.append(offsets[-1] + len(f"> {line}\n".encode()))
        return offsets[:-1]

    def start(
        self,
        ranks: int,
        *arguments: str,
        environ: Mapping[str, str] = _NONE,
        cwd: Path | None = None,
        before: str = "",
        launch: tuple[str, ...] = (),
        by: tuple[str, ...] = (),
    ) -> Farm:
        """Start a farm of *ranks* ranks, 0: without mpiexec; every rank runs the shell command *before* first.

        *launch* are further options of mpiexec; *by* is a launcher of its own, without *ranks*.
        """
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OUTER)}
        mine = {MARK: uuid.uuid4().hex, "TMPDIR": str(self._scratch), **AS_ROOT, **_SHARED_MEMORY}
        launcher = [*mpiexec(), *launch, "-n", str(ranks)] if ranks else [*by]
        shell = ["sh", "-c", f'{before}; exec "$0" "$@"'] if before else []
        command = [*launcher, *shell, sys.executable, "-m", "mpifarm", *arguments]
        capture = self._scratch / f"farm{len(self._started)}"
        farm = Farm(command, bool(ranks), cwd or self.directory, {**inherited, **mine, **environ}, capture)
        self._started.append(farm)
        return farm

    def run(
        self, ranks: int, *arguments: str, environ: Mapping[str, str] = _NONE, cwd: Path | None = None, before: str = ""
    ) -> Ended:
        """Start a farm and wait for its end."""
        return self.start(ranks, *arguments, environ=environ, cwd=cwd, before=before).wait()

    def end(self) -> None:
        """Kill what is left of every farm."""
        for farm in self._started:
            farm.kill()

    # what the files say

    def file(self, kind: str) -> Path:
        """Return the path of one of the farm's files."""
        return self.directory / f"{kind}.tasks.txt.tfin"

    def progress(self) -> list[int]:
        """Return the offsets of the progress lines, in their order."""
        path = self.file("progress")
        return [int(line.split()[0]) for line in path.read_text().splitlines()] if path.exists() else []

    def progressed(self, goal: int) -> bool:
        """Say whether progress has *goal* lines."""
        return len(self.progress()) >= goal

    def joblog(self) -> list[dict[str, str]]:
        """Return the lines of the joblog."""
        with self.file("joblog").open(newline="") as file:
            return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))

    def log(self) -> list[str]:
        """Return the lines of the log."""
        return self.file("log").read_text().splitlines()

    def attempted(self) -> list[int]:
        """Return the offset of every attempt that ended, sorted."""
        return sorted(int(line["Offset"]) for line in self.joblog())

    def left(self) -> list[int]:
        """Return the offsets that fastrecovery lists."""
        return [int(line) for line in self.file("fastrecovery").read_text().splitlines()[1:]]

    def snapshot(self) -> dict[str, bytes]:
        """Return every file of the directory with its content."""
        return {path.name: path.read_bytes() for path in self.directory.iterdir() if path.is_file()}

    def settled(self) -> dict[str, bytes]:
        """Return the same without what a farm that runs replaces all the time."""
        return {name: content for name, content in self.snapshot().items() if not name.startswith("status.")}
