"""What all benchmarks share: taking turns, and the time, the CPU time and the memory of whole processes.

Wall time is what a user waits for, so it is measured around the process, from before it exists until it was reaped: start
of MPI, reading of the list and last fsync included. CPU time is what wait4 tells of a process and of everything that it and
its children have waited for: mpiexec, ranks, helpers, tasks. What runs on while somebody looks is read from /proc.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

DEADLINE_S = 1800.0
_GRACE_S = 10.0
_RANK = ("PMI_RANK", "OMPI_COMM_WORLD_RANK")

_Sample = TypeVar("_Sample")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int
    scale: float  # of the goals' number of tasks
    directory: Path  # for the files of all runs

    def count(self, full: int, least: int) -> int:
        """Return *full*, scaled."""
        return max(least, round(full * self.scale))


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a process and all its children."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Member:
    """A process of a farm, or of another MPI program."""

    pid: int
    name: str  # "rank 1", "helper of rank 1", or the program
    rank: int | None

    def cpu_s(self) -> float:
        """Return the CPU time of all its threads, to the nanosecond (proc(5) has clock ticks in stat: 10 ms)."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_bytes().split()[0]) for thread in threads) / 1e9

    def peak_mib(self) -> float:
        """Return its peak resident set so far."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        return 0.0  # a zombie


class Failed(Exception):
    """A program that is measured has not done what it was started for."""


def take_turns(plan: Plan, contestants: Mapping[str, Callable[[Path], _Sample]]) -> dict[str, list[_Sample]]:
    """Measure all *contestants* in turn, `plan.rounds` times, each in a new directory; return their samples, by name."""
    samples: dict[str, list[_Sample]] = {name: [] for name in contestants}
    for _ in range(plan.rounds):
        for name, measure in contestants.items():
            with tempfile.TemporaryDirectory(dir=plan.directory) as directory:
                samples[name].append(measure(Path(directory)))
    return samples


class Running:
    """A program that was started, as the leader of a session."""

    def __init__(self, command: Sequence[str], cwd: Path, environ: Mapping[str, str], stdin: Path | None = None) -> None:
        """What it prints goes to files in *cwd*."""
        self._command = command
        self._err = cwd / "bench.err"
        with (
            (stdin or Path(os.devnull)).open("rb") as source,
            (cwd / "bench.out").open("wb") as out,
            self._err.open("wb") as err,
        ):
            self._began = time.perf_counter()
            self._process = subprocess.Popen(
                command, cwd=cwd, env=environ, stdin=source, stdout=out, stderr=err, start_new_session=True
            )
        self.pid = self._process.pid

    def wait(self, *codes: int) -> Cost:
        """Wait for its end, which must be an exit with 0 or one of *codes*. Raises Failed."""
        if not self.ends_within(DEADLINE_S):
            raise Failed(f"{' '.join(self._command)}: not within {DEADLINE_S:.0f} s")
        _, status, usage = os.wait4(self.pid, 0)
        wall_s = time.perf_counter() - self._began
        self._process.returncode = code = os.waitstatus_to_exitcode(status)
        if code not in (0, *codes):
            said = self._err.read_text(errors="replace")
            raise Failed(f"{' '.join(self._command)}: exit code {code}: {said[-2000:]}")
        return Cost(wall_s, usage.ru_utime + usage.ru_stime)

    def end(self) -> None:
        """End it, if it still runs."""
        if self._process.returncode is None:
            self._process.terminate()  # an mpiexec ends its ranks
            self.ends_within(_GRACE_S)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()

    def ends_within(self, seconds: float) -> bool:
        """Wait so long for its end; say whether it has come."""
        descriptor = os.pidfd_open(self.pid)
        try:
            return bool(select.select([descriptor], [], [], seconds)[0])
        finally:
            os.close(descriptor)

    def family(self) -> list[Member]:
        """Return what descends from it, itself not included."""
        parents = dict(_processes())
        found: list[Member] = []
        generation = {self.pid}
        while generation:  # not in the order of pids, which start again from below
            generation = {pid for pid, parent in parents.items() if parent in generation}
            for pid in sorted(generation):
                with contextlib.suppress(OSError, IndexError):
                    found.append(_member(pid, parents[pid], found))
        return found


@contextlib.contextmanager
def running(command: Sequence[str], cwd: Path, environ: Mapping[str, str], stdin: Path | None = None) -> Iterator[Running]:
    """Run *command*; whatever happens, nothing of it is left."""
    program = Running(command, cwd, environ, stdin)
    try:
        yield program
    finally:
        program.end()


def run(command: Sequence[str], cwd: Path, environ: Mapping[str, str], stdin: Path | None = None) -> Cost:
    """Run *command* to its end. Raises Failed."""
    with running(command, cwd, environ, stdin) as program:
        return program.wait()


def wait_for(condition: Callable[[], _Sample], what: str) -> _Sample:
    """Poll every millisecond until *condition* holds, and return what it says. Raises Failed."""
    until = time.monotonic() + DEADLINE_S
    while not (holds := condition()):
        if time.monotonic() > until:
            raise Failed(f"not within {DEADLINE_S:.0f} s: {what}")
        time.sleep(0.001)
    return holds


def _processes() -> Iterator[tuple[int, int]]:
    """Yield every process and its parent."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                yield int(entry.name), int((entry / "stat").read_text().rpartition(")")[2].split()[1])


def _member(pid: int, parent: int, found: Sequence[Member]) -> Member:
    entry = Path(f"/proc/{pid}")
    program = Path((entry / "cmdline").read_text().split("\0")[0]).name
    words = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
    environ = dict(word.split("=", 1) for word in words if "=" in word)
    rank = next((int(environ[name]) for name in _RANK if name in environ), None)
    if rank is None or not program.startswith("python"):  # a task may have its rank's environment
        return Member(pid, program, None)
    of_rank = any(member.pid == parent and member.rank is not None for member in found)
    return Member(pid, f"helper of rank {rank}" if of_rank else f"rank {rank}", rank)
