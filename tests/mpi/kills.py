"""Kills: tasks that leave evidence, a driver that kills processes of their farm at random, and the accounts afterwards.

The evidence of a task is a file of its own, to which every attempt appends a line at its start and one at its end. After
the last run it is held against the files of the farm: what the farm has recorded has happened, once; and what happened
without being recorded was in flight when something above it was killed.

Times are seconds since the machine has started, which a shell can read without a child that might be killed.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from .farms import DEADLINE_S, Farm, Farms, Process, wait_until

KILLS = 8  # in a trial
TASKS = 120
SLACK_S = 5.0  # an end that was not recorded is no older than this when something is killed
# Every kill of a shell is a failure. A rank that is killed before MPI has started is missed after 5 times --lost-after.
OPTIONS = ("--threads", "2", "--retries", "20", "--lost-after", "6", "--output", "all.out", "tasks.txt")

_RUN = "KILLS_RUN"  # environment variable: number of the run, from 1
_MPI_LEAVES = ("ompi.", "prterun", "openmpi-sessions", "pmix")  # Open MPI in TMPDIR, when it is killed itself
_MOST_RUNS = 4 * KILLS
_PAUSE_S = 2.5
_KINDS = ("launcher", "manager", "worker", "helper", "guardian", "shell", "child")
_LEFT = {"all.out", "done.tasks.txt.tfin", "evidence", "go", "joblog.tasks.txt.tfin", "log.tasks.txt.tfin",
         "progress.tasks.txt.tfin", "status.tasks.txt.tfin", "tasks.txt", "tasks.txt.tfin", "tmp"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Launch:
    """A way to start a farm: whether its other ranks go on when a worker, or the manager, is killed."""

    start: Callable[[dict[str, str]], Farm]
    outlives_worker: bool = False
    outlives_manager: bool = False


@dataclass(frozen=True, slots=True)
class Kill:
    """What was killed, and whose tasks it took with it."""

    kind: str
    run: int
    time: float
    helpers: frozenset[int] | None  # pids; None: all


@dataclass(slots=True)
class Evidence:
    """What an attempt has left behind."""

    run: int
    attempt: int
    helper: int
    started: float
    ended: float | None = None


@dataclass(slots=True)
class Tally:
    """The sum of some trials."""

    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    tasks: int = 0
    again: int = 0
    lost: int = 0
    doubled: int = 0
    oldest_s: float = 0.0  # how long before a kill something ended that was not recorded

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kills.items()))
        return (
            f"{self.kills.total()} kills ({kinds}), {self.runs} runs, {self.tasks} tasks, {self.again} attempts in flight"
            f" at a kill ({self.oldest_s:.2f} s at most), {self.lost} lost, {self.doubled} doubled"
        )

    def add(self, other: Tally) -> None:
        """Add those of *other*."""
        self.kills += other.kills
        for name in ("runs", "tasks", "again", "lost", "doubled"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.oldest_s = max(self.oldest_s, other.oldest_s)


def seeds() -> list[int]:
    """Return the seeds of as many trials as MPIFARM_KILLS asks for, one if it is not set; the first is MPIFARM_SEED."""
    first = int(os.environ.get("MPIFARM_SEED", "1"))
    return list(range(first, first + max(1, -(-int(os.environ.get("MPIFARM_KILLS", "0")) // KILLS))))


def _mark(what: str) -> str:
    """Return a command that says in the task's evidence what happens now."""
    return f"{{ read -r now _ < /proc/uptime; echo {what} ${_RUN} $MPIFARM_ATTEMPT $PPID $now >> evidence/$MPIFARM_TASK; }}"


def _works(rng: random.Random, name: int) -> tuple[str, str]:
    """Return a random shell command and what it prints."""
    seconds = f"{rng.uniform(0.1, 2):.2f}"
    lines = rng.randrange(5_000, 30_000)
    return rng.choice(
        [
            (f"echo {name}", f"{name}\n"),
            (f"sleep {seconds} && echo {name}", f"{name}\n"),
            (f"sleep 1000 & sleep {seconds} && echo {name}", f"{name}\n"),
            (f"sh -c 'sleep {seconds}; echo {name}'", f"{name}\n"),
            (f"seq -f '{name} %.0f' {lines}", "".join(f"{name} {line}\n" for line in range(1, lines + 1))),
            (f"echo {name} && {{ read -r _ && read -r _; }} < evidence/$MPIFARM_TASK", f"{name}\n"),  # fails at first
        ]
    )


class Trial:
    """One list, and all the runs that it takes."""

    def __init__(self, farms: Farms, launch: Launch, seed: int) -> None:
        self._farms = farms
        self._launch = launch
        self._rng = random.Random(seed)
        self._kills: list[Kill] = []
        self._attempts_by_run: list[list[tuple[int, int, bool]]] = []  # (offset, attempt, succeeded) in the joblog
        self._progress_by_run: list[list[int]] = []
        self._shared: set[str] = set()  # MPI's files in /dev/shm: who is killed leaves them there
        self._blocks: dict[int, str] = {}

    def run(self) -> Tally:
        """Kill and restart until all is done, then look at what is there."""
        self._write_list()
        kinds = [*_KINDS, *self._rng.choices(_KINDS, k=KILLS - len(_KINDS))]
        self._rng.shuffle(kinds)
        try:
            in_peace = False  # who is killed after the last word may leave a lock, and the next start takes that away
            while not (in_peace and self._farms.file("done").exists()):
                assert len(self._progress_by_run) < _MOST_RUNS, self._kills
                in_peace = not kinds
                farm = self._launch.start({_RUN: str(self._number), "TMPDIR": str(self._farms.directory / "tmp")})
                self._harass(farm, kinds)
                farm.wait()
                self._note_what_is_recorded()
        finally:
            self._remove_shared_memory()
        return self._accounts()

    @property
    def _number(self) -> int:
        """The run that is on."""
        return len(self._progress_by_run) + 1

    def _write_list(self) -> None:
        (self._farms.directory / "evidence").mkdir()
        (self._farms.directory / "tmp").mkdir()
        works = [_works(self._rng, name) for name in range(TASKS - 4)]
        # These keep the farm from its end until the last kill is over.
        works += [(f"until [ -e go ]; do sleep 0.1; done; echo {name}", f"{name}\n") for name in range(TASKS - 4, TASKS)]
        offsets = self._farms.tasks(*(f"{_mark('start')}; {work} && {_mark('end')}" for work, _ in works))
        self._blocks = {offset: block for offset, (_, block) in zip(offsets, works, strict=True)}

    # kills

    def _harass(self, farm: Farm, kinds: list[str]) -> None:
        """Kill one thing after the other until the run ends or nothing of *kinds* is left."""
        while kinds:
            time.sleep(self._rng.uniform(0, _PAUSE_S))
            victim = self._find(farm, kinds[-1])
            if victim is None or self._kill(farm, kinds.pop(), victim):
                break
        if not kinds:
            (self._farms.directory / "go").touch()

    def _find(self, farm: Farm, kind: str) -> Process | None:
        """Return a process of this kind as soon as there is one; None if the run ends before."""
        until = time.monotonic() + DEADLINE_S
        while processes := farm.processes():
            self._note_shared_memory(processes)
            victims = [process for process in processes if _kind(process, processes, farm.pid) == kind]
            if victims:
                return self._rng.choice(victims)
            assert time.monotonic() < until, f"no {kind} to kill within {DEADLINE_S:.0f} s, {self._kills}"
            time.sleep(0.02)
        return None

    def _kill(self, farm: Farm, kind: str, victim: Process) -> bool:
        """Kill *victim*; return whether that ends the run."""
        below = set(_below(victim.pid, farm.processes()))
        last = kind in ("launcher", "manager") or (kind == "worker" and not self._launch.outlives_worker)
        helpers = None if last else frozenset() if kind == "guardian" else frozenset({victim.pid, *below})
        self._kills.append(Kill(kind, self._number, _uptime_s(), helpers))
        with suppress(ProcessLookupError):
            os.kill(victim.pid, signal.SIGKILL)
        if kind == "manager" and self._launch.outlives_manager:  # a user who waits no longer for its workers
            time.sleep(self._rng.uniform(0, _PAUSE_S))
            with suppress(ProcessLookupError):
                os.kill(farm.pid, signal.SIGKILL)
            self._kills.append(Kill("launcher", self._number, _uptime_s(), None))
        if not last and kind in ("worker", "helper"):  # two that are meant to clean up after each other die one by one
            wait_until(
                lambda: not below & {process.pid for process in farm.processes()}, f"what the {kind} has started is gone"
            )
        return last

    # what MPI itself leaves behind

    def _note_shared_memory(self, processes: list[Process]) -> None:
        for process in processes:
            with suppress(OSError):
                maps = Path(f"/proc/{process.pid}/maps").read_text()
                self._shared |= {word for word in maps.split() if word.startswith("/dev/shm/")}

    def _remove_shared_memory(self) -> None:
        for name in self._shared:
            Path(name).unlink(missing_ok=True)

    # accounts

    def _note_what_is_recorded(self) -> None:
        progress, joblog = self._farms.progress(), self._farms.joblog() if self._farms.file("joblog").exists() else []
        before = [offset for run in self._progress_by_run for offset in run]
        assert progress[: len(before)] == before, "what was recorded once has been taken back"
        self._progress_by_run.append(progress[len(before) :])
        attempts = [
            (int(line["Offset"]), int(line["Attempt"]), line["Exitval"] == line["Signal"] == "0")
            for line in joblog
            if line["Command"] is not None  # not a line that was torn off
        ]
        self._attempts_by_run.append(attempts[sum(map(len, self._attempts_by_run)) :])

    def _accounts(self) -> Tally:
        progress = Counter(self._farms.progress())
        lost = [offset for offset in self._blocks if offset not in progress]
        doubled = [offset for offset, count in progress.items() if count > 1]
        tally = Tally(Counter(kill.kind for kill in self._kills), len(self._progress_by_run), len(self._blocks))
        tally.lost, tally.doubled = len(lost), len(doubled)
        assert not lost, f"lost: {lost}, {tally}"
        assert not doubled, f"doubled: {doubled}, {tally}"
        assert progress.keys() == self._blocks.keys()
        expected = "".join(self._blocks[offset] for offset in self._farms.progress())
        assert (self._farms.directory / "all.out").read_text() == expected, "--output is not one block for each task"
        left = {path.name for path in self._farms.directory.iterdir()}
        assert left == _LEFT, f"missing: {_LEFT - left}, too many: {left - _LEFT}"
        temporary = [path.name for path in (self._farms.directory / "tmp").iterdir()]
        assert all(name.startswith(_MPI_LEAVES) for name in temporary), temporary
        for run, offsets in enumerate(self._progress_by_run, start=1):
            for offset in offsets:
                self._check_task(offset, run, tally)
        return tally

    def _check_task(self, offset: int, recorded_in: int, tally: Tally) -> None:
        """Hold the evidence of one task, which was recorded as done in that run, against the joblog and the kills."""
        recorded = {
            (run, attempt): succeeded
            for run, attempts in enumerate(self._attempts_by_run, start=1)
            for task, attempt, succeeded in attempts
            if task == offset
        }
        assert sum(recorded.values()) <= 1, f"{offset} stands in the joblog twice"
        *earlier, last = self._evidence(offset)
        assert last.run == recorded_in, f"{offset}, recorded in run {recorded_in}, ran again"
        assert last.ended is not None, f"{offset} was recorded before its end"
        assert all(succeeded == ((last.run, last.attempt) == key) for key, succeeded in recorded.items()), offset
        for evidence in earlier + ([] if (last.run, last.attempt) in recorded else [last]):
            if (evidence.run, evidence.attempt) not in recorded:
                self._explain(offset, evidence, tally)

    def _evidence(self, offset: int) -> Iterator[Evidence]:
        """Yield what the attempts of a task have left, in their order."""
        found: dict[tuple[int, int], Evidence] = {}
        for line in (self._farms.directory / "evidence" / str(offset)).read_text().splitlines():
            what, *numbers, now = line.split()
            run, attempt, helper = map(int, numbers)
            if what == "start":
                assert (run, attempt) not in found, f"{offset} was started twice as attempt {attempt} of run {run}"
                found[run, attempt] = Evidence(run, attempt, helper, float(now))
            else:
                found[run, attempt].ended = float(now)
        yield from (found[key] for key in sorted(found))

    def _explain(self, offset: int, evidence: Evidence, tally: Tally) -> None:
        """Find the kill that has kept this attempt from being recorded."""
        above = [kill for kill in self._kills if kill.run == evidence.run]
        above = [kill for kill in above if kill.helpers is None or evidence.helper in kill.helpers]
        assert above, f"{offset}: nothing above {evidence} was killed: {self._kills}"
        first = min(kill.time for kill in above)
        age_s = max(0.0, first - evidence.ended) if evidence.ended is not None else 0.0
        assert age_s < SLACK_S, f"{offset}: not recorded {age_s:.1f} s after the end of {evidence}, {self._kills}"
        tally.again += 1
        tally.oldest_s = max(tally.oldest_s, age_s)


def _kind(process: Process, processes: list[Process], launcher: int) -> str:
    if process.pid == launcher:
        return "launcher"
    if "MPIFARM_TASK" in process.environ:
        with suppress(ProcessLookupError):
            return "shell" if os.getsid(process.pid) == process.pid else "child"
    if process.rank is None:
        return ""  # a daemon of the launcher, squeue, ...
    parents = {other.pid: other.parent for other in processes if other.rank is not None}
    if process.parent in parents:  # by its name a guardian that was just born does not go yet
        return "helper" if parents[process.parent] in parents else "guardian"
    return "worker" if process.rank else "manager"


def _below(pid: int, processes: list[Process]) -> Iterator[int]:
    """Yield the descendants of *pid*."""
    for process in processes:
        if process.parent == pid:
            yield process.pid
            yield from _below(process.pid, processes)


def _uptime_s() -> float:
    return float(Path("/proc/uptime").read_text().split()[0])
