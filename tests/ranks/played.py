"""One side of a farm, played by a test: rank 0 with two workers that say what it likes, a worker with such a rank 0."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

from fakes import FakeComm, FakeLauncher

from mpifarm.journal.opening import open_run
from mpifarm.journal.watch import Waiting
from mpifarm.launcher.launcher import Launcher
from mpifarm.ranks import wire
from mpifarm.ranks.comm import Received
from mpifarm.ranks.manager import Manager
from mpifarm.ranks.wire import Message, Stop, Tag
from mpifarm.ranks.worker import Settings, Worker
from mpifarm.settings import Config
from mpifarm.site.offer import Offer

LIST = "echo 1\necho 2\necho 3\n"
LENGTH = 9
FASTRECOVERY = Path("fastrecovery.tasks.txt.tfin")
LINES = b"> echo 1\n> echo 2\r\n> echo 3\n"
MakeFarm = Callable[..., "Farm"]


class Farm:
    """A manager of two workers."""

    def __init__(self, end: float | None = None, began: float = 0.0, **options: object) -> None:
        config = Config("tasks.txt", **options)  # type: ignore[arg-type]
        self.comm = FakeComm(3)
        opened = open_run(config, Waiting(lambda: began, lambda _: None))
        assert opened.journal is not None
        self.manager = Manager(config, self.comm, opened, opened.journal, [1, 2], began, end)
        for rank in (1, 2):
            self.say(rank, Tag.HELLO, wire.pack_hello(Offer(2, 2, 2, f"n{rank}")), began)

    def say(self, rank: int, tag: Tag, message: Message, now: float = 0.0) -> None:
        self.manager.on_message(Received(rank, tag, message), now)

    def grants(self, now: float = 0.0) -> dict[int, list[tuple[int, int]]]:
        """Have a turn; return (offset, attempt) of what each rank was granted."""
        self.manager.turn(now)
        taken: dict[int, list[tuple[int, int]]] = {}
        for message in self.comm.take(Tag.GRANT):
            tasks = wire.unpack_grant(message.message)[["offset", "attempt"]].tolist()
            taken.setdefault(message.source, []).extend(tasks)
        return taken

    def stops(self) -> list[tuple[int, Stop]]:
        return [(message.source, wire.unpack_stop(message.message)) for message in self.comm.take(Tag.STOP)]


def progress() -> list[str]:
    return Path("progress.tasks.txt.tfin").read_text().splitlines()


def log() -> str:
    return Path("log.tasks.txt.tfin").read_text()


class Rank:
    """A worker with two slots, its fake launcher, and what it has sent."""

    def __init__(self, directory: Path, alone: bool = False, lost_after_s: float = 8.0) -> None:
        tfin = directory / "tasks.txt.tfin"
        tfin.write_bytes(LINES)
        settings = Settings("n1", 4, 4, 2, 5, 3.0, lost_after_s, tfin, alone)
        self.launcher = FakeLauncher()
        self.sent: list[tuple[Tag, Message]] = []
        self.worker = Worker(settings, cast(Launcher, self.launcher), lambda *message: self.sent.append(message), 0.0)

    def grant(self, *tasks: tuple[int, int], attempt: int = 1) -> None:
        offsets, lengths = zip(*tasks, strict=True)
        self.tell(Tag.GRANT, wire.pack_grant(offsets, lengths, range(1, 1 + len(tasks)), [attempt] * len(tasks)))

    def tell(self, tag: Tag, message: Message, now: float = 0.0) -> None:
        self.worker.on_message(Received(0, tag, message), now)
