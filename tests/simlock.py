"""Managers of one list, on two hosts, that hang, are killed, and come and go: who may write? Driven by a seed.

What is modelled: hosts with namespaces of their own, one host name for all, or not; process numbers that are used again;
clocks that differ, by which files are dated; managers that hang for longer than a lock takes to go stale, in any file
operation, before or after it has been done, while others start; operations that are a bit slow, between the proof and the
deed; managers that are killed, or stop; and somebody who deletes, cuts or adds to the files under a running farm.

What no lock can give is not modelled: an operation that changes a file, and does so half a minute after it was asked for.
So these hang when they are done, and before only for as long as whoever takes over waits.

Each manager is a thread, of which one runs at a time: what happens depends on the seed alone. In the end the files are held
against what the managers have been told was written. To replay a seed: python tests/simlock.py SEED
"""

from __future__ import annotations

import gc
import io
import os
import random
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from fakes import success
from simdisk import Killed

from mpifarm import FarmError
from mpifarm.journal import appender, tails
from mpifarm.journal.holder import Holder
from mpifarm.journal.lines import Attempt
from mpifarm.journal.lock import TakenOver
from mpifarm.journal.names import Names
from mpifarm.journal.opening import open_run
from mpifarm.journal.watch import STALE_S, Waiting
from mpifarm.ranks.custody import Custody
from mpifarm.settings import Config
from mpifarm.voice import Voice

NAMES = Names(Path("tasks.txt.tfin"))
OUT = Path("out")
EPOCH = 1.7e9  # of the clocks by which files are dated
SLOW_S = 3.0  # at most, from a proof to the deed
CALM = 6  # managers that come in the end, one after the other, and are left in peace
NOTHING = memoryview(b"")

_UTIME = os.utime  # the real one

LOOKS = ("stat", "lstat", "fstat", "open", "pread", "fsync", "utime")
DEEDS = ("write", "pwrite", "ftruncate", "unlink", "rename", "replace", "link")


@dataclass
class Host:
    """A host, or a container on it."""

    name: str
    boot: str
    space: str
    skew_s: float  # of its clock
    living: dict[int, str] = field(default_factory=dict)  # when they were born, by their numbers


class Manager:
    """A manager's process: it opens the list, and runs it to its end, or until it stops."""

    def __init__(self, world: World, host: Host, at: float, calm: bool = False) -> None:
        self.host = host
        self.wakes = at  # when it goes on
        self.calm = calm
        self.killed = self.ended = self.finishing = False
        self.hung = False  # or was a bit slow, ever
        self.sluggish = 0  # operations that are still slow after it has hung
        self.told: dict[int, bytes] = {}  # what it was told was written: offset and block
        self.how = ""
        self._world = world
        self._turn = threading.Semaphore(0)
        self._thread: threading.Thread | None = None
        self.pid = world.random.randrange(2, 6)
        self.born = f"{world.random.randrange(10**9)}"

    def go_on(self) -> None:
        """Let it run until it sleeps or has ended."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._live, daemon=True)
            self._thread.start()
        self._turn.release()
        self._world.baton.acquire()

    def sleep(self, seconds: float) -> None:
        """Let others run for so long."""
        self.wakes = self._world.now + seconds
        self._world.baton.release()
        self._turn.acquire()

    def die(self) -> None:
        self.killed = True
        self.host.living.pop(self.pid, None)
        raise Killed

    def holder(self) -> Holder:
        return Holder(self.host.name, self.pid, self.born, boot=self.host.boot, space=self.host.space)

    def _live(self) -> None:
        self._turn.acquire()
        while self.pid in self.host.living:
            self.pid += 1
        self.host.living[self.pid] = self.born
        try:
            self.how = self._run()
        except Killed:
            self.how = "killed"
        except (FarmError, TakenOver) as why:
            self.how = f"{type(why).__name__}: {why}"
        except BaseException as error:  # for the thread of the test
            self._world.errors.append(error)
        finally:
            self.host.living.pop(self.pid, None)
            self.ended = True
            self._world.baton.release()

    def _run(self) -> str:
        world = self._world
        run = open_run(
            Config("tasks.txt", output=str(OUT), quiet=True), Waiting(lambda: world.now, self.sleep, lambda _: None)
        )
        if run.journal is None:
            return "nothing to do"
        custody = Custody(run, run.journal, world.now)
        left: list[tuple[int, int, int]] = run.start.again.tolist()
        turns = None if self.calm or world.random.random() < 0.5 else world.random.randrange(12)
        while not custody.stopped:
            left += custody.take(2).tolist()
            if not left or turns == 0:
                break
            turns = turns and turns - 1
            self._turn_over(custody, run.journal, left)
        self._end(custody, [task[0] for task in left])
        custody.release()
        if "taken over" in custody.trouble:
            raise TakenOver(custody.trouble)
        return custody.trouble or "ended"

    def _turn_over(self, custody: Custody, journal: Any, left: list[tuple[int, int, int]]) -> None:
        """A turn: some tasks have succeeded."""
        world = self._world
        self.sleep(world.random.choice((0.01, 0.5, 1.5)))
        custody.look(world.now)
        written = {}
        for _ in range(world.random.randint(1, 2)):
            if left:
                offset, length, seq = left.pop(world.random.randrange(len(left)))
                world.executions += 1
                written[offset] = b"<%d.%d>" % (offset, world.executions)
                out = memoryview(written[offset])
                attempt = Attempt(offset, length, seq, 1, "n", 1, 0, 0, 1.7e9, 0.1, 0.1, 0.1, 9, 0, len(out), b"task")
                journal.succeeded(success(attempt, len(out)), None, out, NOTHING)
        custody.write(world.now)
        if custody.stopped:
            return
        self.told |= written
        if world.random.random() < 0.3:
            custody.checkpoint(world.now, [task[0] for task in left], [])

    def _end(self, custody: Custody, left: list[int]) -> None:
        self.sleep(self._world.random.choice((0.01, 0.4)))
        self.finishing = True
        if left:
            custody.checkpoint(self._world.now, left, [])
        else:
            custody.finish()
        custody.close()


class Mute(Voice):
    """Says nothing: what standard error is would change how many operations there are, and so the seed."""

    def __init__(self) -> None:
        with patch("mpifarm.voice.Outlet", side_effect=OSError):
            super().__init__()


class World:
    """One seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.baton = threading.Semaphore(0)
        self.errors: list[BaseException] = []
        self.executions = 0
        self.vandal = ""
        self.current: Manager | None = None
        one_name = self.random.random() < 0.5
        self._hosts = [
            Host("same" if one_name else name, boot, space, self.random.choice((0.0, 0.0, 20.0, -20.0, 7200.0, -7200.0)))
            for name, boot, space in (("a", "boot-1", "1"), ("a", "boot-1", "2"), ("b", "boot-2", "1"))
        ]
        self.tasks = self.random.choice((1, 4, 12, 30))
        Path("tasks.txt").write_text("".join(f"task {number}\n" for number in range(self.tasks)))
        self._accident = self.random.choice((0.0, 0.002, 0.01))  # how often one hangs in an operation, or dies of it
        self._slow = self.random.choice((0.0, 0.02, 0.2)) if self._accident else 0.0  # how often it is a bit slow
        self.managers = [Manager(self, self.random.choice(self._hosts), 0.0)]
        for _ in range(self.random.randint(1, 4)):
            self._add(self.random.choice((0.0, 1.0, 5.0, 20.0, 40.0, 60.0)))
        self._vandal_at = self.random.uniform(0, 60) if self.random.random() < 0.25 else float("inf")

    def _add(self, later_s: float, calm: bool = False) -> None:
        at = self.managers[-1].wakes + later_s * self.random.random()
        self.managers.append(Manager(self, self.random.choice(self._hosts), at, calm))

    def run(self) -> None:
        """Let them all come and go, then some in peace until the list is done."""
        with self._installed():
            self._run_all()
            for _ in range(CALM):
                done = NAMES.done.exists()
                self.now += 20_000.0  # what is dated ahead is old by then
                self.managers.append(Manager(self, self.random.choice(self._hosts), self.now, calm=True))
                self._run_all()
                if done:  # and the last one has found nothing to do but to clean up
                    break
        self._check_end()

    def _run_all(self) -> None:
        while alive := [manager for manager in self.managers if not manager.ended]:
            manager = min(alive, key=lambda one: one.wakes)
            self.now = max(self.now, manager.wakes)
            if self.now > self._vandal_at:
                self._spoil(alive)
            self.current = manager
            manager.go_on()
            self.current = None
            if self.errors:
                raise self.errors[0]
            self._check()

    def _spoil(self, alive: list[Manager]) -> None:
        """Somebody deletes, cuts or adds to a file, in the middle of a run."""
        path = self.random.choice((NAMES.progress, OUT))
        if any(one.finishing for one in alive) or NAMES.done.exists() or not path.exists() or not path.stat().st_size:
            return
        self._vandal_at = float("inf")
        self.vandal = self.random.choice(("deletes", "cuts", "adds"))
        if self.vandal == "deletes":
            path.unlink()
        elif self.vandal == "cuts":
            os.truncate(path, self.random.randrange(path.stat().st_size))
        else:
            with path.open("ab") as file:
                file.write(b"somebody else's\n")

    # the file system

    @contextmanager
    def _installed(self) -> Iterator[None]:
        real = {name: getattr(os, name) for name in (*LOOKS, *DEEDS)}
        really_open, fdatasync = io.open, appender._fdatasync
        try:
            for name, function in real.items():
                setattr(os, name, self._wrapped(name, function))
            io.open = self._wrapped("io.open", really_open)  # that of pathlib
            appender._fdatasync = self._wrapped("fsync", fdatasync)
            with (
                patch("mpifarm.journal.opening.this_process", self._this_process),
                patch("mpifarm.journal.holder._born", self._born),
                patch("mpifarm.journal.journal.Voice", Mute),
            ):
                yield
        finally:
            for name, function in real.items():
                setattr(os, name, function)
            io.open, appender._fdatasync = really_open, fdatasync

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        deed = name in DEEDS

        def operation(*args: Any, **options: Any) -> Any:
            manager = self.current
            if manager is None or threading.current_thread() is threading.main_thread():
                return real(*args, **options)
            self._before(manager, deed)
            found = real(*args, **options)
            if name in ("write", "pwrite", "utime"):
                self._date(args[0])
            elif name == "open" and args[1] & os.O_EXCL:
                self._date(found)
            self._after(manager)
            return found

        return operation

    def _before(self, manager: Manager, deed: bool) -> None:
        if manager.killed:
            raise Killed
        chance = self.random.random()
        manager.sluggish -= 1
        slow = deed and chance < (0.4 if manager.sluggish > 0 else self._slow)
        if manager.calm or (chance > self._accident and not slow):
            return
        if chance < 0.2 * self._accident:
            manager.die()
        elif slow:
            manager.hung = True
            manager.sleep(self.random.uniform(0, SLOW_S))
        elif not deed:
            self._hang(manager)

    def _after(self, manager: Manager) -> None:
        chance = self.random.random()
        if manager.calm or chance > self._accident:
            return
        if chance < 0.2 * self._accident:
            manager.die()
        else:
            self._hang(manager)

    def _hang(self, manager: Manager) -> None:
        manager.hung, manager.sluggish = True, 20
        # Often it is back at about the time at which its lock goes stale.
        about = self.random.choice((8.0, STALE_S - 5.0, STALE_S, STALE_S, STALE_S + 20.0, 100.0))
        manager.sleep(about + self.random.uniform(-3.0, 3.0))

    def _date(self, descriptor: int) -> None:
        assert self.current is not None
        now = EPOCH + self.now + self.current.host.skew_s
        _UTIME(descriptor, (now, now))

    def _this_process(self, *_: object) -> Holder:
        assert self.current is not None
        return self.current.holder()

    def _born(self, pid: int) -> str:
        assert self.current is not None
        return self.current.host.living.get(pid, "")

    # what must hold

    def _check(self) -> None:
        """Whenever one of them sleeps: nothing is recorded twice, and a list that is called done is."""
        offsets = [offset for offset, _ in lines()]
        assert self.vandal or len(offsets) == len(set(offsets)), "recorded twice"
        if NAMES.done.exists():
            assert len(set(offsets)) == self.tasks, "called done, and it is not"

    def _check_end(self) -> None:
        """In the end: each task is done once, by the attempt that somebody was told is written, and its block is there."""
        late = any(manager.hung for manager in self.managers)  # and may have removed a lock that was its own when it looked
        robbed = [
            manager
            for manager in self.managers
            if manager.how.startswith("TakenOver") and not manager.hung and not (late and "is gone" in manager.how)
        ]
        assert not robbed, "who was alive, and never late, has lost the list"
        found = lines()
        if self.vandal:
            if not NAMES.done.exists():
                return
        else:
            assert NAMES.done.exists(), [manager.how for manager in self.managers]
        assert len(found) == len({offset for offset, _ in found}) == self.tasks, "not each task once"
        if self.vandal == "cuts":  # between a look and a write: what is there then nobody can tell
            return
        content, at, blocks = OUT.read_bytes(), 0, {}
        for offset, size in found:
            blocks[offset] = content[at : at + size]
            assert blocks[offset].startswith(b"<%d." % offset), "a block is not that of its line"
            assert blocks[offset].endswith(b">"), "a block is not that of its line"
            at += size
        assert at == len(content), "--output and progress disagree"
        if not self.vandal:
            told = {offset: block for manager in self.managers for offset, block in manager.told.items()}
            lost = {offset for offset, block in told.items() if blocks[offset] != block}
            assert not lost, "recorded, and lost"
        stray = {path.name for path in Path().iterdir()} - {"tasks.txt", OUT.name, *(path.name for path in NAMES.all())}
        assert not stray, f"left behind: {stray}"


def lines() -> list[tuple[int, int]]:
    """Return what progress says: offset and bytes of output."""
    with suppress(FileNotFoundError):
        whole = NAMES.progress.read_bytes()[: tails.whole_lines(NAMES.progress)]
        words = [line.split() for line in whole.splitlines()]
        return [(int(line[0]), int(line[3])) for line in words if len(line) == 6]
    return []


def run(seed: int) -> None:
    """Run one seed in a directory of its own. Raises AssertionError, or whatever went wrong."""
    before = Path.cwd()
    tempfile.gettempdir()
    directory = tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
    os.chdir(directory)
    try:
        World(seed).run()
    finally:
        os.chdir(before)
        shutil.rmtree(directory)
        gc.collect()


if __name__ == "__main__":
    run(int(sys.argv[1]))
