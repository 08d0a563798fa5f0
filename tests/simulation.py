"""A farm in one process, on a clock of its own, driven by a seed: real manager, schedule, journal and workers.

What is modelled: the network (delays, other orders between ranks, duplicates), the tasks (short, long, failing, killing
their worker, or the whole farm), the launcher, workers that die or hang, whoever is suspended (`simabsence`), nodes on
which everything fails for a while, stops, the end of the job, a reader of standard output who stalls (`simreader`), and a
disk that may be full or slow, and on which any single operation may be the manager's last: before it, after it, or in the
middle of it. If the node dies with the manager, what was not synced may be gone or be zeros, and a file that was renamed
unsynced may be anything.

After every run the files are held against what really happened; in the end, against what was asked for.
To replay a seed: python tests/simulation.py SEED; to run many: python tests/simseeds.py FROM TO
"""

from __future__ import annotations

import gc
import os
import random
import shutil
import sys
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

from fakes import ended_record, standard_output_to
from simabsence import NEVER, Absences
from simdisk import Disk, Killed
from simlaws import LOST_AFTER_S, PAUSES_S, Laws, listened
from simlist import Lines, Task, names_at
from simnet import Network
from simreader import Reader

from mpifarm import FarmError
from mpifarm.ended import Ended
from mpifarm.journal import fastrecovery, tails
from mpifarm.journal.holder import Holder
from mpifarm.journal.names import Names
from mpifarm.journal.opening import open_run
from mpifarm.journal.watch import Waiting
from mpifarm.launcher import frames
from mpifarm.launcher.frames import Reply
from mpifarm.launcher.launcher import Frame, Launcher
from mpifarm.ranks import wire
from mpifarm.ranks.comm import Received
from mpifarm.ranks.manager import Manager
from mpifarm.ranks.wire import Stop, Tag
from mpifarm.ranks.worker import ManagerLost, Settings, State, Worker
from mpifarm.schedule import suspects
from mpifarm.schedule.answers import Action, How, Lost, Outcome
from mpifarm.schedule.history import LOST_LIMIT
from mpifarm.schedule.schedule import Schedule
from mpifarm.settings import Config, MaxFails

RUNS = 40  # that a seed may take; the later ones are left in peace
MANY, PARTS = 3, 2  # suspects that go together, in lists as short as these
BISECTION = 5  # farms that may die until 30 such suspects are one
KILLS = 2 * (LOST_LIMIT + BISECTION)  # more runs for each task that kills the farm
LOOK_S = 0.5  # a process to which nothing happens looks at the clock so often
RUN_S = 3000.0  # that a run may take on its own clock
NAMES = Names(Path("tasks.txt.tfin"))


class ModelLauncher:
    """Slots in which modelled tasks run."""

    killed = frames.Killed()

    def __init__(self, farm: Simulation, rank: int, node: str) -> None:
        self._farm = farm
        self._node = node
        self._rank = rank
        self.asleep_until = NEVER  # the helper, not its tasks
        self._orders: list[Callable[[], None]] = []  # that it has not read
        self._slots = 0
        self._queue: deque[tuple[int, int]] = deque()
        self._running: list[tuple[float, int, int, bool]] = []  # end, offset, attempt, whether its node was sick
        self._frames: list[Frame] = []
        self.killed = frames.Killed()

    def set_up(self, node: str, slots: int, first_slot: int, widen: bool = False, cpus: int = 0) -> None:
        self._slots = slots

    def start(self, tasks: Iterable[frames.Task]) -> None:
        for offset, seq, attempt, _, command in tasks:
            name = self._farm.lines.at[offset]
            assert command == b"task %d" % name, "the command of another task"
            assert seq == 1 + list(self._farm.lines.at).index(offset), "the number of another task"
            assert name not in self._farm.settled, "what is done is run again"
            self._queue.append((offset, attempt))
        self.advance()

    def advance(self) -> None:
        now = self._farm.now
        if now < self.asleep_until:
            return
        for one in sorted(self._running) if self.next_end() <= now else ():
            if one[0] <= now:
                self._running.remove(one)
                self._end(*one[1:])
        while self._orders:
            self._orders.pop(0)()
        while self._queue and len(self._running) < self._slots:
            offset, attempt = self._queue.popleft()
            task = self._farm.task(offset)
            if task.poison:
                self._farm.dying.add(self._rank)
            sick = self._farm.is_sick(self._node)
            self._running.append((now + (0.001 if sick else task.seconds), offset, attempt, sick))

    @property
    def running(self) -> list[int]:
        return [offset for _, offset, _, _ in self._running]

    def next_end(self) -> float:
        return max(self.asleep_until, min(self._running)[0]) if self._running else float("inf")

    def wakes(self, now: float) -> bool:
        """Whether its worker is told something."""
        return bool(self._frames) or self.next_end() <= now

    def postpone(self, seconds: float) -> None:
        """The tasks were suspended for so long."""
        self._running = [(end + seconds, offset, attempt, sick) for end, offset, attempt, sick in self._running]

    def _end(self, offset: int, attempt: int, sick: bool) -> None:
        name, task = self._farm.lines.at[offset], self._farm.task(offset)
        if task.kills and not sick:
            self._farm.kills[name] += 1
            self._farm.killer = name
            raise Killed
        if sick or self._farm.random.random() < task.fails:
            self._report(offset, attempt, status=self._farm.random.choice((1, -11, 255, 143, -15)))
            return
        self._farm.executions += 1
        out = (f"<{name}.{self._farm.executions}>".encode() * task.bytes)[: task.bytes]
        self._farm.outputs.setdefault(name, set()).add(out)
        self._farm.successes[name] += 1
        streamed = out[: len(out) // 2] if self._farm.random.random() < 0.3 else b""
        if streamed:
            self._frames.append(Frame(0, Reply.CHUNK, 0, streamed))
        rest = out[len(streamed) :]
        self._frames.append(Frame(0, Reply.ENDED, 1, ended_record(offset, attempt, out=rest, out_total=len(out)) + rest))

    def _report(self, offset: int, attempt: int, status: int, flags: int = 0) -> None:
        self._frames.append(Frame(0, Reply.ENDED, 1, ended_record(offset, attempt, status, flags)))

    def recall(self) -> None:
        self._order(self._recall)

    def terminate(self) -> None:
        self._order(self._terminate)

    kill = terminate

    def _order(self, order: Callable[[], None]) -> None:
        self._orders.append(order)
        self.advance()

    def _recall(self) -> None:
        for offset, attempt in self._queue:
            self._report(offset, attempt, 0, Ended.INTERRUPTED | Ended.NOT_STARTED)
        self._queue.clear()

    def _terminate(self) -> None:
        self._recall()
        for _, offset, attempt, _ in self._running:
            self._report(offset, attempt, -15, Ended.INTERRUPTED)
        self._running.clear()

    def descriptors(self) -> list[int]:
        return []

    def read(self) -> list[Frame]:
        self.advance()
        if not self._frames:
            return []
        taken, self._frames = self._frames, []
        if len(taken) > 1 and self._farm.random.random() < 0.1:  # the rest is read later, perhaps after a long silence
            count = self._farm.random.randrange(len(taken))
            taken, self._frames = taken[:count], taken[count:]
            if self._farm.random.random() < 0.2:
                self._farm.hanging.add(self._rank)
        return taken

    def close(self) -> None:
        self._running.clear()
        self._queue.clear()


@dataclass
class Rank:
    """A worker's process."""

    worker: Worker
    launcher: ModelLauncher
    hangs_until: float = 0.0
    turned_at: float = 0.0
    listened_s: float = 0.0  # to the silence of rank 0

    def suspend(self, until: float, seconds: float) -> None:
        """The node stands still."""
        self.hangs_until = until
        self.launcher.postpone(seconds)

    def suspend_helper(self, until: float) -> None:
        """The helper stands still, and neither the rank nor the tasks."""
        self.launcher.asleep_until = until


def _holder(*_: object) -> Holder:
    """Return who holds the lock: always the same, since a seed must do the same wherever it runs."""
    return Holder("simulated", 1, "1")


class Simulation:
    """One seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.look_at = 0.0  # then rank 0 has a turn, whatever happens
        self.random = random.Random(seed)
        self.now = 0.0
        self.dealt: Counter[int] = Counter()  # by task: how often
        self._deals: Counter[int] = Counter()  # the same of this run, by offset
        self.dying: set[int] = set()
        self.hanging: set[int] = set()
        self.poisoned: Counter[int] = Counter()  # by task: workers that died of it in this run
        self.kills: Counter[int] = Counter()  # by task: farms that died of it
        self.killer: int | None = None  # the task that the farm died of
        self.accidents = 0  # farms that died of something else
        self.stops = 0  # farms that ended by themselves, with work left
        self.victims: set[int] = set()  # tasks that had the farm to themselves then
        self.losses: dict[int, list[bool]] = {}  # by task: workers lost under it, and whether something else did it
        self.heard: dict[tuple[int, int], float] = {}  # when rank 0 first heard of the failure of an attempt of this run
        self.sick = ""  # the node on which everything fails, for a while
        self.sick_from, self.sick_until = NEVER, float("inf")
        self.executions = 0
        self.joblog_before = self.progress_before = 0  # lines
        self.outputs: dict[int, set[bytes]] = {}  # of attempts that succeeded, by task
        self.successes: Counter[int] = Counter()  # by task
        self.settled: set[int] = set()  # tasks that are recorded, and must not be run again, whatever is edited
        self.dropped: set[int] = set()  # tasks whose records may have been dropped by an edit
        self.crashed = False  # so what is recorded may not count, until the next start has looked
        self.edited = False
        self.retries = self.random.randrange(3)
        self.slots = self.random.randint(1, 3)
        self.output = self.random.random() < 0.7
        self.disk = Disk(self.random)
        self.reader = Reader(self.random, lambda: self.now)
        self.tasks = self._make_tasks()

    def _make_tasks(self) -> dict[int, Task]:
        tasks: dict[int, Task] = {}
        offset = 0
        for _ in range(self.random.choice((1, 3, 10, 30))):
            fails = self.random.choice((0.0, 0.0, 0.0, 0.0, 0.3, 1.0))
            seconds = self.random.choice((0.001, 0.1, 1.0, 20.0))
            poison, size = self.random.random() < 0.01, self.random.choice((0, 1, 20, 50))
            tasks[offset] = Task(seconds, fails, poison, size, not fails and self.random.random() < 0.005)
            offset += len(b"> task %d\n" % offset)
        self.lines = Lines(self.seed, tasks)
        return tasks

    def task(self, offset: int) -> Task:
        """Return what the task at *offset* of the list does."""
        return self.tasks[self.lines.at[offset]]

    def _edit(self) -> None:
        """Somebody edits the list between two runs."""
        self.edited = True
        before, touched = self.lines.at, self.lines.edit()
        self.tasks |= self.lines.new
        self.settled -= self.tasks.keys() if touched is None else touched
        self.dropped |= set(before.values()) if touched is None else touched

    def run(self) -> None:
        """Run the farm until it has nothing left to do, whatever happens."""
        outcome: Outcome | None = None
        deadly = sum(task.kills for task in self.tasks.values())
        for number in range(RUNS + deadly * KILLS):
            calm = number > RUNS // 2
            outcome = self._run(calm, number)
            self.check()
            over = outcome in (Outcome.ALL_SUCCEEDED, Outcome.SOME_FAILED)
            if self.lines.edits and not calm and (over or self.random.random() < 0.5):
                self._edit()
            elif over:
                break
            self.stops += outcome is not None
        assert outcome in (Outcome.ALL_SUCCEEDED, Outcome.SOME_FAILED), f"not done after {RUNS} runs"
        self.check_end(outcome)

    def _run(self, calm: bool, number: int) -> Outcome | None:
        """One start of the farm; None: the manager was killed."""
        self.progress_before = len(self._progress())
        self.joblog_before = len(self._joblog())
        kills = not calm and self.random.random() < 0.6
        self.disk.left = self.random.choice((5, 20, 60, 200)) if kills else None
        if kills:
            self.disk.left = self.random.randrange(cast(int, self.disk.left))
        self.disk.healthy = None if calm or self.random.random() < 0.8 else self.random.randrange(100)
        try:
            with self.disk.installed(), self.reader.installed():
                return self._farm(calm, number)
        except Killed:
            self.disk.left = None
            self._note_death()
            return None
        except FarmError:
            if self.disk.healthy is None or self.disk.healthy >= 0:
                raise
            return None  # it could not even start
        finally:
            for offset, times in self._deals.items():
                self.dealt[self.lines.at[offset]] += times
            self._deals.clear()
            self.disk.hang = lambda: None
            self.now += 100.0  # a lock is stale by then; its holder is this very process

    def _note_death(self) -> None:
        """The farm has died: of a task, or by accident, which may have been that of the whole node."""
        killer, self.killer = self.killer, None
        if killer is not None:
            return
        self.accidents += 1
        with suppress(FileNotFoundError):
            dealt = suspects.parse(NAMES.lock.read_text(errors="replace"))
            if dealt.alone:
                self.victims |= {at[dealt.last] for at in (self.lines.at, self._tfin()) if dealt.last in at}
        if self.random.random() < 0.5:
            self.disk.crash()
            self.crashed = True
            self.settled.clear()

    def is_sick(self, node: str) -> bool:
        """Whether everything that starts on *node* now fails."""
        return node == self.sick and self.sick_from <= self.now < self.sick_until

    def _farm(self, calm: bool, number: int) -> Outcome:
        site = random.Random(f"{self.seed} {number}")
        self._age_lock()
        output = "out" if self.output else None
        config = Config(
            "tasks.txt", retries=self.retries, max_fails=self._max_fails(calm, number), lost_after_s=LOST_AFTER_S,
            output=output, quiet=True,
        )  # fmt: skip
        self.reader.begin(calm)
        waiting = Waiting(lambda: self.now, self._pause, lambda _: None)
        opened = open_run(replace(config, edited=self.edited), waiting)
        self.crashed = False
        if opened.journal is None:
            return Outcome.ALL_SUCCEEDED
        self.progress_before = len(self._progress())
        size = self.random.choice((2, 3, 4, 5, 9))
        network = Network(self.random, lambda: self.now, size, self._deals)
        end = self.now + self.random.uniform(5.0, 100.0) if not calm and self.random.random() < 0.2 else None
        first = 0 if site.random() < 0.2 and not any(task.poison for task in self.tasks.values()) else 1
        manager = Manager(config, network, opened, opened.journal, range(first, size), self.now, end)
        network.stopping = lambda: manager._schedule._stopping is not None
        self._watch_losses(manager._schedule)
        self.heard.clear()
        self.dying, self.hanging = set(), set()
        self.poisoned.clear()
        self.sick = self.random.choice(("n0", "n1", "n2")) if self.random.random() < 0.1 else ""
        if not self.sick and site.random() < 0.1:
            self.sick = site.choice(("n0", "n1", "n2"))
        self.sick_from = self.now + site.choice((0.0, 0.0, 1.0, 10.0))
        self.sick_until = self.sick_from + site.choice((3.0, 30.0, float("inf")))
        self.absences = Absences(site, calm)
        self.laws = Laws(manager._schedule, self.now)
        ranks = {rank: self._join(network, rank) for rank in range(first, size)}
        if not calm and self.random.random() < 0.1:
            self.disk.hang = lambda: self._hang(network, ranks)
        began, stop_at = (
            self.now,
            self.now + self.random.uniform(0, 100) if not calm and self.random.random() < 0.2 else None,
        )
        if self.reader.is_gone and stop_at is None:
            stop_at = self.now + self.random.uniform(0, 100)
        checked = (-1, 0)
        while manager.outcome is None:
            self._step(network, manager, ranks, calm)
            if stop_at and self.now > stop_at:
                stop_at = None
                hows = (How.KILL, How.KILL_NOW) if self.reader.is_gone else list(How)
                manager.stop(self.random.choice(hows), self.now, "asked")
            if self.absences.stops and self.now > self.absences.stops[0][0]:
                manager.stop(self.absences.stops.pop(0)[1], self.now, "nothing goes on")
            if manager._schedule.stopping not in (How.KILL, How.KILL_NOW):
                assert not manager._custody.given_up, "what was printed is given up, and nobody is in a hurry"
            assert self.now - self.absences.suspended_s < began + RUN_S, "it does not end"
            state = (network.moved, len(manager._schedule._workers.by_rank))
            if state != checked:  # nothing else changes the schedule
                checked = state
                manager._schedule.check()
        return self._end(manager)

    def _max_fails(self, calm: bool, number: int) -> MaxFails | None:
        chance = random.Random(f"{self.seed} {number} max-fails")
        if calm or chance.random() < 0.7:
            return None
        return chance.choice((MaxFails("0", 0), MaxFails("1", 1), MaxFails("3", 3), MaxFails("10%", 10, 100)))

    def _pause(self, seconds: float) -> None:
        self.now += seconds

    def _end(self, manager: Manager) -> Outcome:
        """Close the manager. A job that was too short for anything is as good as one with work left."""
        manager.finish(self.now)
        left, outcome = manager.outcome is Outcome.WORK_LEFT, manager.close(self.now)
        if manager._schedule.gave_up and not (manager._custody.stopped or manager._custody.given_up):
            assert outcome is Outcome.SOME_FAILED, "it has given up, and asks to be started again"
            return Outcome.WORK_LEFT  # here there is somebody who mends it
        if left and outcome in (Outcome.SOME_FAILED, Outcome.NO_WORKER):
            assert len(self._progress()) == self.progress_before, "a job in which something was finished was not in vain"
            return Outcome.WORK_LEFT
        return outcome

    def _join(self, network: Network, rank: int) -> Rank:
        node = f"n{rank % 3}"
        settings = Settings(node, 4, 4, self.slots, 1, 0.0, LOST_AFTER_S, Path("tasks.txt.tfin"), alone=not rank)
        launcher = ModelLauncher(self, rank, node)
        worker = Worker(settings, cast(Launcher, launcher), lambda *sent: network.put(rank, 0, *sent), self.now)
        return Rank(worker, launcher, turned_at=self.now)

    def _step(self, network: Network, manager: Manager, ranks: dict[int, Rank], calm: bool) -> None:
        if suspended_s := self.absences.suspension():
            self.now += suspended_s
            for rank in ranks.values():
                rank.launcher.postpone(suspended_s)
        awake = {number: rank for number, rank in ranks.items() if rank.hangs_until <= self.now}
        self.absences.begin(awake, self.now)
        ends = (rank.launcher.next_end() for rank in awake.values())
        takes_nothing = self.now < self.absences.manager_until or manager.full
        manager_is_away = self.now < self.absences.manager_until
        arrival = network.next_arrival(awake.keys() - {0} if takes_nothing else {0, *awake})
        self.now = max(self.now + 0.001, min(arrival, *ends, self.now + 1.0))
        told = not takes_nothing and network.next_arrival({0}) <= self.now
        if not manager_is_away and (self.now >= self.look_at or told):
            self.look_at = self.now + LOOK_S
            self._turn_of_manager(network, manager, ranks)
        for number, rank in list(ranks.items()):
            if rank.hangs_until > self.now or (manager_is_away and not number) or not self._wakes(network, number, rank):
                continue
            self._turn(network, number, rank)
            dies = number in self.dying or (not calm and number and self.random.random() < 0.001)
            if dies or rank.worker.state is State.GONE:
                self.dying.discard(number)
                if len(ranks) > 1 or rank.worker.state is State.GONE:
                    names = (self.lines.at[offset] for offset in rank.launcher.running)
                    self.poisoned.update(name for name in names if self.tasks[name].poison)
                    self.laws.dead.add(number)
                    del ranks[number]
            elif not calm and number and (number in self.hanging or self.random.random() < 0.002):
                self.hanging.discard(number)
                rank.hangs_until = self.now + self.random.choice((1.0, 5.0, 30.0))

    def _turn_of_manager(self, network: Network, manager: Manager, ranks: dict[int, Rank]) -> None:
        asleep = [number for number, rank in ranks.items() if rank.hangs_until > self.now]
        self.laws.turn_begins(self.now, asleep)
        for received in network.deliver(0, own=manager.full):
            if received.tag in (Tag.GRANT, Tag.STOP):  # to itself
                ranks[0].worker.on_message(received, self.now)
                continue
            self.laws.heard(received.source)
            self._hear(received)
            manager.on_message(received, self.now)
        schedule, queue, by_rank = manager._schedule, manager._schedule._queue, manager._schedule._workers.by_rank
        waiting = {task[0] for task in queue.retries.tasks()}
        idle = not (schedule._workers.leased or queue._front or queue._suspected or queue._isolated)
        nothing_else = idle and not (queue._fresh_left or queue.lineup.open)
        workers = len(by_rank)
        manager.turn(self.now)
        if (
            waiting and not (nothing_else or self.laws.hurried) and len(by_rank) == workers
        ):  # what a lost one had is not there any more
            self._check_pauses(schedule, waiting)
        self._check_answers(manager)

    def _wakes(self, network: Network, number: int, rank: Rank) -> bool:
        """Whether there is something for a worker to do, or it looks at the clock."""
        looks = self.now >= rank.turned_at + LOOK_S or rank.launcher.wakes(self.now)
        return looks or not number or network.next_arrival({number}) <= self.now

    def _turn(self, network: Network, number: int, rank: Rank) -> None:
        rank.listened_s += listened(self.now - rank.turned_at)
        rank.turned_at = self.now
        for received in network.deliver(number) if number else ():
            rank.worker.on_message(received, self.now)
            rank.listened_s = 0.0
        if rank.hangs_until and rank.hangs_until <= self.now:
            rank.hangs_until = 0.0
        try:
            rank.worker.turn(self.now, 0)
        except ManagerLost:
            assert rank.listened_s >= rank.worker._settings.manager_patience_s - 2.0, "absence is taken for silence"
            rank.worker.close()
        if number and self.random.random() < 0.0006:
            rank.worker.on_signal(self.random.choice((Stop.DRAIN, Stop.KILL)), self.now)

    def _hang(self, network: Network, ranks: dict[int, Rank]) -> None:
        """An operation of the disk may take its time; the others go on."""
        if self.random.random() < 0.99:
            return
        for _ in range(self.random.choice((1, 5, 30))):
            self.now += 1.0
            for number, rank in ranks.items():
                if number and rank.hangs_until <= self.now and rank.worker.state is not State.GONE:
                    self._turn(network, number, rank)

    def _age_lock(self) -> None:
        """Let the lock of a killed manager look as old as it is on the clock of the simulation."""
        for path in Path().glob("lock.*"):
            os.utime(path, (1.7e9, 1.7e9))

    def _hear(self, received: Received) -> None:
        """Take note of attempts that failed."""
        if received.tag is not Tag.REPORT:
            return
        for row in wire.unpack_report(received.message).ended:
            if row["status"] and not row["flags"]:
                self.heard.setdefault((int(row["offset"]), int(row["attempt"])), self.now)

    def _watch_losses(self, schedule: Schedule) -> None:
        """Note which tasks were running on a worker when it is lost, and see who is convicted of it."""
        lose = schedule.worker_lost

        def watched(rank: int, innocent: bool = False) -> list[Action]:
            worker = schedule._workers.by_rank.get(rank)
            running = {self.lines.at[offset] for offset, lease in worker.leases.items() if lease[3]} if worker else set()
            poisons = {name for name in running if self.tasks[name].poison}
            for name in running:
                self.losses.setdefault(name, []).append(not poisons)
            before = schedule.suspects()
            actions = lose(rank, innocent)
            ending = schedule.stopping not in (None, How.DRAIN)
            assert not ending or schedule.suspects() == before, "suspected of an end that took too long"
            for action in actions:
                for name in map(self.lines.at.__getitem__, action.poisoned if isinstance(action, Lost) else ()):
                    by_others = len(self.losses[name]) + self.accidents + self.kills.total() >= LOST_LIMIT
                    assert by_others, "convicted too early"
                    innocent = not self.tasks[name].poison
                    assert not innocent or any(self.losses[name]) or self._many(), "convicted of what another did"
            return actions

        schedule.worker_lost = watched  # type: ignore[method-assign]

    def _many(self) -> bool:
        """Whether there was more than one thing of which workers and farms have died."""
        return self.accidents + sum(task.poison or task.kills for task in self.tasks.values()) > 1

    # what must hold

    def _check_pauses(self, schedule: Schedule, waiting: set[int]) -> None:
        """No attempt that follows a failure comes before its pause is over while there is other work."""
        for worker in schedule._workers.by_rank.values():
            for offset in waiting & worker.leases.keys():
                attempt, history = worker.leases[offset][0], schedule._histories._known[offset]
                heard = self.heard.get((offset, attempt - 1))
                if heard is not None and not history.let_off:
                    pause_s = 1.0 if history.failures == 1 else 10.0
                    assert self.now >= heard + pause_s, "a retry without a pause"

    def _check_answers(self, manager: Manager) -> None:
        """No event is left unanswered: who asked has work, or there is none that it may have."""
        workers, queue = manager._schedule._workers, manager._schedule._queue
        over = manager._schedule._stopping or manager._schedule._finished
        if over or not (queue._front or queue._fresh_left):
            return
        if queue.lineup.alone:
            return
        for worker in workers.by_rank.values():
            idle = len(worker.leases) < worker.slots and worker.granted < worker.limit
            assert not (idle and workers.takes(worker)), "a slot is idle while a task waits"

    def check(self) -> None:
        """Between two runs: no task is recorded twice, nothing is recorded that has not happened, every block is whole."""
        if not NAMES.intent.exists():  # or the files are about two lists
            self._check_records()
        # the first one may have been waiting when it was dealt, and does not count; who is convicted acquits the others
        deadly = sum(lines for name, lines in self.lines.most.items() if self.tasks[name].poison or self.tasks[name].kills)
        most = LOST_LIMIT * deadly
        assert all(times <= most + 1 for times in self.poisoned.values()), "poison is dealt again and again"
        # after an end of its own, a farm tries who is convicted again
        most += BISECTION * deadly + self.accidents + self.stops
        assert all(times <= most for times in self.kills.values()), "what kills the farm is dealt again and again"
        attempts = self._attempts()
        assert len(attempts) == len(set(attempts)), "an attempt is recorded twice"

    def _check_records(self) -> None:
        offsets = [offset for offset, _ in self._progress()]
        assert len(offsets) == len(set(offsets)), "recorded twice"
        names = self._tfin()
        recorded = Counter(names[offset] for offset in offsets)
        assert all(times <= self.successes[name] for name, times in recorded.items()), "recorded and never succeeded"
        assert self.settled <= recorded.keys(), "what was done is forgotten"
        if not self.crashed and names == self.lines.at:
            self.settled = recorded.keys() & self.lines.alone
        if not self.output:
            shown = Path("stdout").read_bytes()
            silent = [name for name in recorded if not any(out in shown for out in self.outputs[name])]
            assert not silent, "recorded, and what it printed was never shown"

    def check_end(self, outcome: Outcome) -> None:
        """In the end: each task is done once, or has failed; the output is that of the attempts that are recorded."""
        lines, at = self._progress(), self.lines.at
        done = {offset for offset, _ in lines}
        assert not NAMES.intent.exists()
        assert self._tfin() == at
        if outcome is Outcome.ALL_SUCCEEDED:
            assert done == at.keys()
            first, told = NAMES.done.read_bytes().split(b"\n", 1)
            assert first == b"done"
            assert told.startswith(b"# max: %d %d " % (len(at), NAMES.tfin.stat().st_size))
            assert not NAMES.fastrecovery.exists()
        else:
            checkpoint = fastrecovery.read(NAMES.fastrecovery)
            assert checkpoint is not None
            left = set(checkpoint.left.tolist())
            assert left == at.keys() - done, "lost"
            blamed = self.sick or all(self.task(offset).fails or self._blamed(at[offset]) for offset in left)
            assert blamed, "failed without a reason"
        if self.output:
            self._check_output(Path("out").read_bytes(), lines)
        expected = {"tasks.txt", "out", "stdout", *(path.name for path in NAMES.all())}
        stray = {path.name for path in Path().iterdir()} - expected
        assert not stray, f"left behind: {stray}"

    def _check_output(self, content: bytes, lines: list[tuple[int, int]]) -> None:
        """It holds the blocks of what is recorded, in that order, and between them those of what an edit has dropped."""
        stray = {block for name in self.dropped for block in self.outputs.get(name, ()) if block}
        if not stray:
            assert len(content) == sum(added for _, added in lines), "--output and progress disagree"
        places = {0}  # to which it can be read so far
        for offset, added in [*lines, (None, 0)]:
            pending = [*places]
            while pending:
                at = pending.pop()
                behind = {at + len(block) for block in stray if content.startswith(block, at)} - places
                places |= behind
                pending += behind
            if offset is not None:
                blocks = self.outputs[self.lines.at[offset]]
                places = {at + added for at in places if content[at : at + added] in blocks}
                assert places, "a block is not what its task wrote"
        assert len(content) in places, "--output and progress disagree"

    def _blamed(self, name: int) -> bool:
        """Whether a task may have been running on several workers that were lost in turn, or alone when the farm died."""
        several = self.dealt[name] >= LOST_LIMIT and (name in self.losses or name in self.victims)
        return several or self.tasks[name].poison or self.tasks[name].kills

    def _attempts(self) -> list[tuple[bytes, bytes]]:
        """Return the task and the number of each attempt in the joblog, of the last run."""
        words = [line.split(b"\t") for line in self._joblog()[self.joblog_before :] if b"\0" not in line]
        return [(word[13], word[8]) for word in words if len(word) == 15 and word[0] != b"Seq"]

    def _joblog(self) -> list[bytes]:
        if not NAMES.joblog.exists():
            return []
        return NAMES.joblog.read_bytes()[: tails.whole_lines(NAMES.joblog)].splitlines()

    def _tfin(self) -> dict[int, int]:
        """Return the name of each task of the .tfin file, by its offset."""
        return names_at(NAMES.tfin.read_bytes()) if NAMES.tfin.exists() else {}

    def _progress(self) -> list[tuple[int, int]]:
        if not NAMES.progress.exists():
            return []
        whole = NAMES.progress.read_bytes()[: tails.whole_lines(NAMES.progress)]
        lines = [line.split() for line in whole.decode(errors="replace").splitlines()]
        return [(int(line[0]), int(line[3])) for line in lines if len(line) == 6 and b"\0" not in line[0].encode()]


def run(seed: int) -> None:
    """Run one seed in a directory of its own. Raises AssertionError, or whatever went wrong."""
    before = Path.cwd()
    gc.freeze()  # what is there by now needs no looking through after every seed
    opened = _open_descriptors()
    tempfile.gettempdir()  # it tries out directories when it is first asked, and the disk would count that
    directory = tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
    os.chdir(directory)
    try:
        with Path("stdout").open("a") as shown, standard_output_to(shown.fileno()), _smaller():
            Simulation(seed).run()
    finally:
        os.chdir(before)
        shutil.rmtree(directory)
        gc.collect()  # what the killed managers had open
        for descriptor in _open_descriptors() - opened:
            os.close(descriptor)


@contextmanager
def _smaller() -> Iterator[None]:
    """Let this be a farm of short lists and times, which says nothing, and whose processes all are the same one."""
    with (
        patch("mpifarm.journal.opening.this_process", _holder),
        patch.multiple("mpifarm.schedule.suspects", _MANY=MANY, _PARTS=PARTS),
        patch.multiple("mpifarm.schedule.quarantine", **cast(dict[str, Any], PAUSES_S)),
    ):
        yield


def _open_descriptors() -> set[int]:
    found = set()
    for descriptor in map(int, os.listdir("/dev/fd")):
        with suppress(OSError):  # the one that listdir used
            os.fstat(descriptor)
            found.add(descriptor)
    return found


if __name__ == "__main__":
    run(int(sys.argv[1]))
