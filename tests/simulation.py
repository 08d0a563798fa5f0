"""A farm in one process, on a clock of its own, driven by a seed: real manager, schedule, journal and workers.

What is modelled: the network (delays, other orders between ranks, duplicates), the tasks (short, long, failing, killing
their worker), the launcher, workers that die or hang, nodes on which everything fails, stops, the end of the job, and a
disk on which any single operation may be the manager's last: before it, after it, or in the middle of it. If the node
dies with the manager, what was not synced may be gone or be zeros, and a file that was renamed unsynced may be anything.

After every run the files are held against what really happened; in the end, against what was asked for.
To replay a seed: python tests/simulation.py SEED
"""

from __future__ import annotations

import gc
import os
import random
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, NoReturn, cast

from fakes import ended_record

from mpifarm import fastrecovery, files
from mpifarm.comm import Received
from mpifarm.config import Config
from mpifarm.ended import Ended
from mpifarm.frames import Reply
from mpifarm.journal import Names
from mpifarm.launcher import Frame, Launcher
from mpifarm.manager import Manager
from mpifarm.opening import open_run
from mpifarm.schedule import LOST_LIMIT, How, Outcome
from mpifarm.wire import Message, Stop, Tag
from mpifarm.worker import ManagerLost, Settings, State, Worker

RUNS = 40  # that a seed may take; the later ones are left in peace
RUN_S = 3000.0  # that a run may take on its own clock
NAMES = Names(Path("tasks.txt.tfin"))


class Killed(BaseException):
    """The manager's process is gone."""


@dataclass
class Disk:
    """The operations on files that rank 0 does, each of which may be its last."""

    random: random.Random
    left: int | None = None  # operations until the kill
    synced: dict[int, int] = field(default_factory=dict)  # by inode: bytes that survive a crash

    def step(self, do: Callable[[], Any], torn: Callable[[], object] | None = None) -> Any:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                when = self.random.choice(("before", "after", "torn"))
                if when == "after":
                    do()
                elif when == "torn" and torn:
                    torn()
                raise Killed
        return do()

    def sync(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        self.step(lambda: self.synced.__setitem__(status.st_ino, status.st_size))

    def crash(self) -> None:
        """The node dies: of each file, what was not synced may be gone, or be zeros."""
        for path in Path().iterdir():
            status = path.stat()
            safe = min(self.synced.get(status.st_ino, 0), status.st_size)
            if path.name == "tasks.txt" or safe == status.st_size:
                continue
            os.truncate(path, self.random.randint(safe, status.st_size))
            if self.random.random() < 0.3:
                os.truncate(path, status.st_size)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Let everything that mpifarm does to files go through here."""
        real = {name: getattr(os, name) for name in ("write", "ftruncate", "unlink", "replace", "rename", "link")}

        def write(descriptor: int, content: memoryview) -> int:
            half = memoryview(content)[: self.random.randint(0, len(content))]
            return int(self.step(lambda: real["write"](descriptor, content), lambda: real["write"](descriptor, half)))

        def wrapped(name: str) -> Callable[..., Any]:
            return lambda *args, **options: self.step(lambda: real[name](*args, **options))

        replaced = {name: wrapped(name) for name in real if name != "write"} | {"write": write, "fsync": self.sync}
        saved = {name: getattr(os, name) for name in replaced}
        fdatasync = files._fdatasync
        try:
            for name, function in replaced.items():
                setattr(os, name, function)
            files._fdatasync = self.sync
            yield
        finally:
            for name, function in saved.items():
                setattr(os, name, function)
            files._fdatasync = fdatasync


@dataclass(frozen=True)
class Task:
    """What a line of the list does when it is run."""

    offset: int
    seconds: float
    fails: float  # how often
    poison: bool  # its worker dies of it
    bytes: int


class ModelLauncher:
    """Slots in which modelled tasks run."""

    def __init__(self, farm: Simulation, rank: int, sick: bool) -> None:
        self._farm = farm
        self._sick = sick
        self._rank = rank
        self._slots = 0
        self._queue: deque[tuple[int, int]] = deque()
        self._running: list[tuple[float, int, int]] = []  # end, offset, attempt
        self._frames: list[Frame] = []

    def set_up(self, node: str, slots: int, first_slot: int, widen: bool = False) -> None:
        self._slots = slots

    def start(self, tasks: Iterable[tuple[int, int, float, bytes]]) -> None:
        for offset, attempt, _, command in tasks:
            assert command == b"task %d" % offset, "the command of another task"
            self._queue.append((offset, attempt))
        self.advance()

    def advance(self) -> None:
        now = self._farm.now
        for end, offset, attempt in sorted(self._running):
            if end <= now:
                self._running.remove((end, offset, attempt))
                self._end(offset, attempt)
        while self._queue and len(self._running) < self._slots:
            offset, attempt = self._queue.popleft()
            task = self._farm.tasks[offset]
            self._farm.starts.append(offset)
            if task.poison:
                self._farm.dying.add(self._rank)
            self._running.append((now + (0.001 if self._sick else task.seconds), offset, attempt))

    def next_end(self) -> float:
        return min((end for end, _, _ in self._running), default=float("inf"))

    def _end(self, offset: int, attempt: int) -> None:
        task = self._farm.tasks[offset]
        if self._sick or self._farm.random.random() < task.fails:
            self._report(offset, attempt, status=self._farm.random.choice((1, -11, 255)))
            return
        self._farm.executions += 1
        out = (f"<{offset}.{self._farm.executions}>".encode() * task.bytes)[: task.bytes]
        self._farm.outputs.setdefault(offset, set()).add(out)
        streamed = out[: len(out) // 2] if self._farm.random.random() < 0.3 else b""
        if streamed:
            self._frames.append(Frame(0, Reply.CHUNK, 0, streamed))
        rest = out[len(streamed) :]
        self._frames.append(Frame(0, Reply.ENDED, 1, ended_record(offset, attempt, out=rest, out_total=len(out)) + rest))

    def _report(self, offset: int, attempt: int, status: int, flags: int = 0) -> None:
        self._frames.append(Frame(0, Reply.ENDED, 1, ended_record(offset, attempt, status, flags)))

    def recall(self) -> None:
        for offset, attempt in self._queue:
            self._report(offset, attempt, 0, Ended.INTERRUPTED | Ended.NOT_STARTED)
        self._queue.clear()

    def terminate(self) -> None:
        self.advance()
        self.recall()
        for _, offset, attempt in self._running:
            self._report(offset, attempt, -15, Ended.INTERRUPTED)
        self._running.clear()

    kill = terminate

    def descriptors(self) -> list[int]:
        return []

    def read(self) -> list[Frame]:
        self.advance()
        taken, self._frames = self._frames, []
        return taken

    def close(self) -> None:
        self._running.clear()
        self._queue.clear()


class Network:
    """Messages on their way: those of one rank to another keep their order, and no others do."""

    rank = 0
    backlog = 0
    remote = True

    def __init__(self, farm: Simulation, size: int) -> None:
        self._farm = farm
        self.size = size
        self._ways: dict[tuple[int, int], deque[tuple[float, Tag, Message]]] = {}

    def put(self, source: int, target: int, tag: Tag, message: Message) -> None:
        way = self._ways.setdefault((source, target), deque())
        delay_s = self._farm.random.choice((0.0, 0.001, 0.01, 0.1, 1.0))
        at = max(self._farm.now + delay_s, way[-1][0] if way else 0.0)
        way.append((at, tag, message))
        if tag is Tag.REPORT and message[12:16].any() and self._farm.random.random() < 0.02:
            way.append((at, tag, message))  # MPI has no duplicates; the records must bear them all the same

    def send(self, rank: int, tag: Tag, message: Message) -> None:
        self.put(0, rank, tag, message)

    def deliver(self, target: int) -> list[Received]:
        """Take what has arrived at a rank."""
        arrived = []
        for (source, to), way in self._ways.items():
            while to == target and way and way[0][0] <= self._farm.now:
                _, tag, message = way.popleft()
                arrived.append(Received(source, tag, message))
        self._farm.random.shuffle(sources := sorted({message.source for message in arrived}))
        return [message for source in sources for message in arrived if message.source == source]

    def next_arrival(self, targets: set[int]) -> float:
        return min((way[0][0] for (_, to), way in self._ways.items() if way and to in targets), default=float("inf"))

    def node_mates(self, node: str, works: bool) -> tuple[int, int]:
        return 0, 1

    def poll(self) -> Iterator[Received]:
        return iter(())

    def take_lost(self) -> set[int]:
        return set()

    def leave(self, code: int, complete: bool) -> NoReturn:
        raise AssertionError

    abort = cast(Any, leave)


@dataclass
class Rank:
    """A worker's process."""

    worker: Worker
    launcher: ModelLauncher
    hangs_until: float = 0.0


class Simulation:
    """One seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.starts: list[int] = []
        self.dying: set[int] = set()
        self.sick = ""  # the node on which everything fails
        self.executions = 0
        self.outputs: dict[int, set[bytes]] = {}  # of attempts that succeeded, by task
        self.retries = self.random.randrange(3)
        self.slots = self.random.randint(1, 3)
        self.output = self.random.random() < 0.7
        self.disk = Disk(self.random)
        self.tasks = self._make_tasks()

    def _make_tasks(self) -> dict[int, Task]:
        tasks: dict[int, Task] = {}
        offset = 0
        for _ in range(self.random.choice((1, 3, 10, 30))):
            fails = self.random.choice((0.0, 0.0, 0.0, 0.0, 0.3, 1.0))
            seconds = self.random.choice((0.001, 0.1, 1.0, 20.0))
            tasks[offset] = Task(offset, seconds, fails, self.random.random() < 0.01, self.random.choice((0, 1, 20, 50)))
            offset += len(b"> task %d\n" % offset)
        Path("tasks.txt").write_text("".join(f"task {offset}\n" for offset in tasks))
        return tasks

    def run(self) -> None:
        """Run the farm until it has nothing left to do, whatever happens."""
        outcome: Outcome | None = None
        for number in range(RUNS):
            calm = number > RUNS // 2
            outcome = self._run(calm)
            self.check()
            if outcome in (Outcome.ALL_SUCCEEDED, Outcome.SOME_FAILED):
                break
        assert outcome in (Outcome.ALL_SUCCEEDED, Outcome.SOME_FAILED), f"not done after {RUNS} runs"
        self.check_end(outcome)

    def _run(self, calm: bool) -> Outcome | None:
        """One start of the farm; None: the manager was killed."""
        kills = not calm and self.random.random() < 0.6
        self.disk.left = self.random.choice((5, 20, 60, 200)) if kills else None
        if kills:
            self.disk.left = self.random.randrange(cast(int, self.disk.left))
        try:
            with self.disk.installed():
                return self._farm(calm)
        except Killed:
            self.disk.left = None
            if self.random.random() < 0.5:
                self.disk.crash()
            return None
        finally:
            self.now += 100.0  # a lock is stale by then; its holder is this very process

    def _farm(self, calm: bool) -> Outcome:
        self._steal_lock()
        config = Config("tasks.txt", retries=self.retries, lost_after_s=10.0, output="out" if self.output else None)
        opened = open_run(config, self.now)
        if opened.journal is None:
            return Outcome.ALL_SUCCEEDED
        size = self.random.randint(2, 5)
        network = Network(self, size)
        end = self.now + self.random.uniform(5.0, 100.0) if not calm and self.random.random() < 0.2 else None
        manager = Manager(config, network, opened, opened.journal, range(1, size), self.now, end)
        self.dying = set()
        self.sick = self.random.choice(("n0", "n1", "n2")) if self.random.random() < 0.1 else ""
        ranks = {rank: self._join(network, rank) for rank in range(1, size)}
        began, stop_at = (
            self.now,
            self.now + self.random.uniform(0, 100) if not calm and self.random.random() < 0.2 else None,
        )
        while manager.outcome is None:
            self._step(network, manager, ranks, calm)
            if stop_at and self.now > stop_at:
                stop_at = None
                manager.stop(self.random.choice(list(How)), self.now, "asked")
            assert self.now < began + RUN_S, "it does not end"
            self._check_leases(manager, ranks)
        return manager.close(self.now)

    def _join(self, network: Network, rank: int) -> Rank:
        node = f"n{rank % 3}"
        settings = Settings(node, 4, 4, self.slots, 1, 0.0, 10.0, Path("tasks.txt.tfin"), False)
        launcher = ModelLauncher(self, rank, sick=node == self.sick)
        worker = Worker(settings, cast(Launcher, launcher), lambda *sent: network.put(rank, 0, *sent), self.now)
        return Rank(worker, launcher)

    def _step(self, network: Network, manager: Manager, ranks: dict[int, Rank], calm: bool) -> None:
        awake = {number: rank for number, rank in ranks.items() if rank.hangs_until <= self.now}
        ends = (rank.launcher.next_end() for rank in awake.values())
        self.now = max(self.now + 0.001, min(network.next_arrival({0, *awake}), *ends, self.now + 1.0))
        for received in network.deliver(0):
            manager.on_message(received, self.now)
        manager.turn(self.now)
        self._check_answers(manager)
        for number, rank in list(ranks.items()):
            if rank.hangs_until > self.now:
                continue
            self._turn(network, number, rank)
            dies = number in self.dying or (not calm and self.random.random() < 0.0005)
            if dies or rank.worker.state is State.GONE:
                self.dying.discard(number)
                if len(ranks) > 1 or rank.worker.state is State.GONE:
                    del ranks[number]
            elif not calm and self.random.random() < 0.001:
                rank.hangs_until = self.now + self.random.choice((1.0, 5.0, 30.0))

    def _turn(self, network: Network, number: int, rank: Rank) -> None:
        for received in network.deliver(number):
            rank.worker.on_message(received, self.now)
        if rank.hangs_until and rank.hangs_until <= self.now:
            rank.hangs_until = 0.0
        try:
            rank.worker.turn(self.now, 0)
        except ManagerLost:
            rank.worker.close()
        if self.random.random() < 0.0003:
            rank.worker.on_signal(self.random.choice((Stop.DRAIN, Stop.KILL)), self.now)

    def _steal_lock(self) -> None:
        """The killed manager was this very process: let the lock look as if it had been another one."""
        for path in Path().glob("lock.*"):
            path.write_text(path.read_text().replace(f"pid={os.getpid()} ", "pid=999999999 "))
            os.utime(path, (1.7e9, 1.7e9))

    # what must hold

    def _check_leases(self, manager: Manager, ranks: dict[int, Rank]) -> None:
        manager._schedule.check()
        for rank, worker in manager._schedule._workers.items():
            assert worker.granted <= worker.limit or rank not in ranks or worker.leaving, "leases exceed credit"

    def _check_answers(self, manager: Manager) -> None:
        """No event is left unanswered: who asked has work, or there is none that it may have."""
        schedule = manager._schedule
        if schedule._stopping or manager.outcome is not None or not (schedule._front or schedule._fresh_left):
            return
        for worker in schedule._workers.values():
            idle = worker.leased < worker.slots and worker.granted < worker.limit
            assert not (idle and schedule._takes(worker)), "a slot is idle while a task waits"

    def check(self) -> None:
        """Between two runs: no task is recorded twice, nothing is recorded that has not happened, every block is whole."""
        lines = self._progress()
        offsets = [offset for offset, _ in lines]
        assert len(offsets) == len(set(offsets)), "recorded twice"
        assert set(offsets) <= self.outputs.keys(), "recorded and never succeeded"

    def check_end(self, outcome: Outcome) -> None:
        """In the end: each task is done once, or has failed; the output is that of the attempts that are recorded."""
        lines = self._progress()
        done = {offset for offset, _ in lines}
        if outcome is Outcome.ALL_SUCCEEDED:
            assert done == self.tasks.keys()
            assert NAMES.done.read_bytes() == b"done"
            assert not NAMES.fastrecovery.exists()
        else:
            checkpoint = fastrecovery.read(NAMES.fastrecovery)
            assert checkpoint is not None
            left = set(checkpoint.left.tolist())
            assert left == self.tasks.keys() - done, "lost"
            blamed = self.sick or all(self.tasks[offset].fails or self._blamed(offset) for offset in left)
            assert blamed, "failed without a reason"
        if self.output:
            content = Path("out").read_bytes()
            assert len(content) == sum(added for _, added in lines), "--output and progress disagree"
            at = 0
            for offset, added in lines:
                assert content[at : at + added] in self.outputs[offset], "a block is not what its task wrote"
                at += added
        stray = {path.name for path in Path().iterdir()} - {"tasks.txt", "out", *(path.name for path in NAMES.all())}
        assert not stray, f"left behind: {stray}"

    def _blamed(self, offset: int) -> bool:
        """Whether a task may have been on several workers that were lost in turn."""
        return self.starts.count(offset) >= LOST_LIMIT or self.tasks[offset].poison

    def _progress(self) -> list[tuple[int, int]]:
        if not NAMES.progress.exists():
            return []
        whole = NAMES.progress.read_bytes()[: files.whole_lines(NAMES.progress)]
        lines = [line.split() for line in whole.decode(errors="replace").splitlines()]
        return [(int(line[0]), int(line[3])) for line in lines if len(line) == 6 and b"\0" not in line[0].encode()]


def run(seed: int) -> None:
    """Run one seed in a directory of its own. Raises AssertionError, or whatever went wrong."""
    before = Path.cwd()
    opened = _open_descriptors()
    directory = tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
    os.chdir(directory)
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(StringIO()):  # noqa: PTH123
            Simulation(seed).run()
    finally:
        os.chdir(before)
        shutil.rmtree(directory)
        gc.collect()  # what the killed managers had open
        for descriptor in _open_descriptors() - opened:
            os.close(descriptor)


def _open_descriptors() -> set[int]:
    found = set()
    for descriptor in map(int, os.listdir("/dev/fd")):
        with suppress(OSError):  # the one that listdir used
            os.fstat(descriptor)
            found.add(descriptor)
    return found


if __name__ == "__main__":
    run(int(sys.argv[1]))
