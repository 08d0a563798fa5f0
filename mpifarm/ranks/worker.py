"""The worker of a rank: grants in, commands to the launcher, ends out as reports, heartbeats.

It decides nothing about tasks. Its one judgement is credit: how many tasks it asks for. Free slots, plus just enough to
keep them busy while a report and a grant are on their way; of tasks that take seconds that is nothing, so a long task
never waits here while a slot elsewhere is idle.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpifarm import files, say
from mpifarm.ended import Ended
from mpifarm.launcher.frames import Killed, Reply, Task
from mpifarm.launcher.launcher import Frame, HelperLost, Launcher
from mpifarm.ranks import wire
from mpifarm.ranks.comm import Received
from mpifarm.ranks.wire import Message, Note, Stop, Tag
from mpifarm.site.offer import Offer
from mpifarm.tasks.reader import Reader
from mpifarm.tasks.tfin import command_of, is_record

ROUND_TRIP_S = 0.1  # a batch of ends, a report, the manager's turn and a grant, with everybody's sleeps
LONG_S = 1.0  # tasks that take so long are not prefetched: next to them a round trip is nothing
PATIENCE_S = 0.03  # not to look for messages while there is enough to do; a helper's ends, after 20 ms, come first
MOST_AHEAD = 1024  # tasks held beyond the slots
MOST_UNSENT_BYTES = 8 * 1024 * 1024  # of reports on their way; beyond it the helpers are not read, and so slow down
DOUBT_S = 1.0  # how much later than its tasks this process may learn of a signal that was sent to both
UNREAD_S = 60.0  # how long the list may look different here than to rank 0: NFS shows some things late
UNREAD_HELD_S = 3.0  # and how long this worker keeps what it cannot read
UNREAD_PAUSE_S = 1.0  # and when to look again, doubled each time
MANAGER_SLOW_S = 60.0  # a manager may hang so much longer in a slow file system than a worker may be silent

_STOPPED = [
    status
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
    for status in (-number, 128 + number)
]


class State(IntEnum):
    """What a worker does next."""

    WORKING = 0
    LEAVING = 1  # it will start nothing more, but has not been told to go
    GONE = 2


@dataclass(frozen=True, slots=True)
class Settings:
    """What a worker is told at the start."""

    node: str
    cpus: int
    usable_cpus: int
    slots: int
    first_slot: int
    timeout_s: float
    lost_after_s: float
    tfin: Path
    alone: bool  # manager and worker share the process: no heartbeats
    mates: int = 1  # workers on this node, with this one
    tell_cpus: bool = False  # to the tasks of a Slurm job

    @property
    def widen(self) -> bool:
        """Whether the launcher took CPUs from the rank that its tasks need: then they may use all that the job allows."""
        return self.cpus < min(self.slots, self.usable_cpus)

    @property
    def task_cpus(self) -> int:
        """CPUs of a slot, for the tasks' environment; 0: they are not told."""
        share = self.usable_cpus // self.mates
        mine = share if self.widen else min(self.cpus, share)
        return max(1, mine // self.slots) if self.tell_cpus else 0


class _List:
    """The .tfin file as this node sees it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1  # opened when it is needed: NFS shows what was closed before an open
        self._reader: Reader | None = None

    def commands(self, granted: wire.Records) -> list[bytes | None]:
        """Return the commands of these tasks; None for each of which this node sees something else than rank 0."""
        offsets, lengths = granted["offset"].tolist(), granted["length"].tolist()
        try:
            if self._reader is None:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
                self._reader = Reader(self._descriptor)
            records = self._reader.records(offsets, lengths)
        except OSError:
            return [None] * len(offsets)
        pairs = zip(records, lengths, strict=True)
        return [command_of(record) if is_record(record, length) else None for record, length in pairs]

    def reopen(self) -> None:
        """Look anew."""
        if self._reader is not None:
            os.close(self._descriptor)
            self._reader = None


class _Unread:
    """Tasks whose lines this node could not read yet, or could not when it gave them back."""

    def __init__(self) -> None:
        self.tasks: wire.Records = np.empty(0, dtype=wire.GRANTED)
        self.held = True  # they are this worker's
        self.due_at = 0.0  # when to try again
        self._since: float | None = None
        self._pause_s = UNREAD_PAUSE_S

    def for_s(self, now: float) -> float:
        """Return for how long there have been some."""
        return 0.0 if self._since is None else now - self._since

    def keep(self, tasks: wire.Records, now: float) -> None:
        """Keep these, too. If there are none at all, all is well."""
        if not tasks.size:
            if not self.tasks.size:
                self._since, self._pause_s, self.held = None, UNREAD_PAUSE_S, True
            return
        if self._since is None:
            self._since = now
        if now >= self.due_at:
            self.due_at = now + self._pause_s
            self._pause_s *= 2
        self.tasks = np.concatenate((self.tasks, tasks))

    def take(self) -> wire.Records:
        """Return them, and keep none."""
        taken, self.tasks = self.tasks, self.tasks[:0]
        return taken

    def take_held(self) -> wire.Records:
        """Return those that are this worker's, and keep none."""
        taken = self.take()
        return taken if self.held else taken[:0]


class ManagerLost(Exception):
    """Rank 0 is gone: nobody will ever take what this worker does."""


class Worker:
    """One rank's tasks."""

    def __init__(self, settings: Settings, launcher: Launcher, send: Callable[[Tag, Message], None], now: float) -> None:
        """*send* sends a message to rank 0."""
        self.state = State.WORKING
        self.complete = True  # nobody was lost, as far as the manager says
        self._settings = settings
        self._launcher = launcher
        self._send_message = send
        self._list = _List(settings.tfin)
        self._seen = 0  # tasks granted so far
        self._held = 0  # of those, not reported yet
        self._mean_s = 1.0  # of the attempts' wall time, recent ones weighing more
        self._notes = Note(0)
        self._sent = self._heard = now
        self._beat_s = settings.lost_after_s / wire.BEATS_PER_LOST_AFTER
        self._doubted: deque[tuple[float, Frame]] = deque()  # ends that may turn out to be interruptions
        self._doubted_bytes = 0
        self._stuck = False  # so much is on its way that the launcher is not read, and nobody should wake up for it
        self._rejoining = False
        self._unread = _Unread()
        launcher.set_up(settings.node, settings.slots, settings.first_slot, settings.widen, settings.task_cpus)
        self._join(now)

    @property
    def descriptors(self) -> list[int]:
        """What to poll for reading."""
        return [] if self._stuck else self._launcher.descriptors()

    @property
    def patience_s(self) -> float:
        """How long the launcher has enough to do, so that nobody waits for a message."""
        enough = self._settings.slots + self._ahead() // 2
        return PATIENCE_S if self.state is State.WORKING and not self._rejoining and self._held >= enough else 0.0

    def on_message(self, received: Received, now: float) -> None:
        """The manager has sent something."""
        self._heard = now
        if received.tag is Tag.GRANT:
            self._start(wire.unpack_grant(received.message), now)
        elif received.tag is Tag.STOP:
            self._stop(wire.unpack_stop(received.message), now)

    def on_signal(self, how: Stop, now: float) -> None:
        """This process was told to stop, by Slurm or by somebody: it takes nothing more, and reports what it had."""
        self._notes |= Note.LEAVING
        self._stop(how, now)
        self._report(now)

    def turn(self, now: float, backlog: int) -> bool:
        """Pass on what the launcher says, unless *backlog* bytes are stuck; return whether there was something.

        Raises ManagerLost.
        """
        if self.state is State.GONE:
            return False
        frames: list[Frame] = []
        self._stuck = backlog + self._doubted_bytes >= MOST_UNSENT_BYTES
        if not self._stuck:
            try:
                frames = self._launcher.read()
            except HelperLost as lost:
                self._break(str(lost), now)
        for frame in frames:
            self._consider(frame, now)
        while self._doubted and (now >= self._doubted[0][0] or self.state is State.LEAVING):
            _, frame = self._doubted.popleft()
            self._doubted_bytes -= len(frame.body)
            self._pass_on(frame, now)
        if self._unread.tasks.size and self.state is State.WORKING and not self._rejoining:
            self._read_again(now)
        if self._rejoining and not self._held:
            self._rejoining = False
            self._join(now)
        if not self._settings.alone:
            self._keep_in_touch(now)
        return bool(frames)

    def close(self) -> Killed:
        """End what runs, and the launcher; return what was killed of what tasks had left behind."""
        self.state = State.GONE
        self._launcher.close()
        return self._launcher.killed

    def _join(self, now: float) -> None:
        self._seen = 0
        told = self._settings
        self._send(Tag.HELLO, wire.pack_hello(Offer(told.slots, told.cpus, told.usable_cpus, told.node)), now)
        self._report(now)

    def _break(self, why: str, now: float) -> None:
        """Without its launcher this node can run nothing: what it had is dead, and rank 0 deals it again."""
        say(f"{self._settings.node}: {why}: nothing more is run here")
        self._launcher.close()
        self.state = State.LEAVING
        self._give_back(self._unread.take_held(), now)
        self._notes |= Note.BROKEN
        self._report(now)

    def _start(self, granted: wire.Records, now: float) -> None:
        self._seen += granted.size
        if self._notes & Note.BROKEN:
            return  # it was sent before rank 0 knew, and has been dealt again since
        self._held += granted.size
        self._launch(granted, now)

    def _launch(self, granted: wire.Records, now: float) -> None:
        """Start what can be read of these; keep the rest, or give it back if that was done with others before."""
        commands = self._list.commands(granted)
        self._launcher.start(
            Task(offset, seq, attempt, self._settings.timeout_s, command)
            for (offset, _, seq, attempt), command in zip(granted.tolist(), commands, strict=True)
            if command is not None
        )
        if self.state is State.LEAVING:
            self._launcher.recall()
        unread = granted[[command is None for command in commands]]
        if self._unread.held:
            self._unread.keep(unread, now)
        else:
            self._give_back(unread, now)

    def _read_again(self, now: float) -> None:
        """Try what could not be read. After a while others may do better with it, and in the end this node cannot work."""
        unread = self._unread
        if unread.for_s(now) >= UNREAD_S:
            place = f"{self._settings.tfin} in {files.working_directory()}"
            self._break(f"does not see {place} as rank 0 does", now)
        elif now >= unread.due_at:
            self._list.reopen()
            self._try(unread.take(), now)
        elif unread.held and unread.for_s(now) >= UNREAD_HELD_S:
            self._give_back(unread.tasks, now)

    def _try(self, tasks: wire.Records, now: float) -> None:
        if self._unread.held:
            self._launch(tasks, now)
            return
        self._unread.keep(tasks if None in self._list.commands(tasks) else tasks[:0], now)
        if self._unread.held:
            self._report(now)  # it asks for tasks again

    def _give_back(self, granted: wire.Records, now: float) -> None:
        """Report tasks that were not started, and are nobody's failure."""
        if not granted.size:
            return
        ended = np.zeros(granted.size, dtype=wire.ENDED)
        ended["offset"], ended["attempt"] = granted["offset"], granted["attempt"]
        ended["flags"] = Ended.INTERRUPTED | Ended.NOT_STARTED
        self._unread.held = False
        self._held -= granted.size
        self._report(now, records=granted.size, body=ended.tobytes())

    def _stop(self, how: Stop, now: float) -> None:
        if how is Stop.LEAVE:
            self._launcher.close()
            self.state = State.LEAVING
            self._notes |= Note.LEFT
            self._report(now, body=self._launcher.killed.packed())
            return
        if how in (Stop.FINALIZE, Stop.VANISH):
            self.complete = how is Stop.FINALIZE
            self.close()
            return
        if how is Stop.REJOIN:
            self._rejoining = True
            self._held -= sum(frame.records for _, frame in self._doubted)
            self._doubted.clear()
            self._doubted_bytes = 0
            self._held -= self._unread.take_held().size
        else:
            self.state = State.LEAVING
            self._give_back(self._unread.take_held(), now)
        orders = {Stop.DRAIN: self._launcher.recall, Stop.KILL: self._launcher.terminate}
        orders.get(how, self._launcher.kill)()

    def _consider(self, frame: Frame, now: float) -> None:
        """Pass a frame on, or wait a moment: Slurm may signal tasks and rank together, and the tasks' end comes first."""
        if frame.kind is Reply.TROUBLE:
            self._break(frame.body.decode(errors="replace"), now)
        elif self.state is State.WORKING and not self._rejoining and _signalled(frame).any():
            self._doubt(now + DOUBT_S, frame)
        elif self._doubted:
            self._doubt(self._doubted[-1][0], frame)  # only because it came later
        else:
            self._pass_on(frame, now)

    def _doubt(self, until: float, frame: Frame) -> None:
        self._doubted.append((until, frame))
        self._doubted_bytes += len(frame.body)

    def _pass_on(self, frame: Frame, now: float) -> None:
        if self._rejoining:  # rank 0 has dealt it again
            self._held -= frame.records
            return
        if frame.kind is Reply.ENDED:
            self._held -= frame.records
            if self.state is State.LEAVING:
                frame = _interrupted(frame)
            records = np.frombuffer(frame.body, dtype=wire.ENDED, count=frame.records)
            self._mean_s += (float(records["seconds"].mean()) - self._mean_s) * min(1.0, frame.records / 8)
        self._report(now, frame.lane, frame.records, frame.body)

    def _credit(self) -> int:
        if self.state is not State.WORKING or self._rejoining or not self._unread.held:
            return 0
        return max(0, self._settings.slots + self._ahead() - self._held)

    def _ahead(self) -> int:
        """Return how many tasks to hold beyond the slots."""
        if self._mean_s >= LONG_S:
            return 0
        return min(MOST_AHEAD, int(self._settings.slots * ROUND_TRIP_S / max(self._mean_s, 1e-6)))

    def _report(self, now: float, lane: int = 0, records: int = 0, body: bytes = b"") -> None:
        message = wire.pack_report(self._seen, self._credit(), self._notes, lane, records, body)
        self._send(Tag.REPORT, message, now)

    def _send(self, tag: Tag, message: Message, now: float) -> None:
        self._send_message(tag, message)
        self._sent = now

    def _keep_in_touch(self, now: float) -> None:
        if now >= self._sent + self._beat_s:
            self._send(Tag.BEAT, wire.pack_beat(), now)
        if now > self._heard + self._settings.lost_after_s + MANAGER_SLOW_S:
            raise ManagerLost(f"rank 0 has been silent for {now - self._heard:.0f} s")


def _signalled(frame: Frame) -> NDArray[np.bool_]:
    """Return which attempts of *frame* have died of a signal that stops a whole job, or report that as a shell does."""
    records = np.frombuffer(frame.body, dtype=wire.ENDED, count=frame.records)
    if not records["status"].any():  # nearly always, and much cheaper to know
        return np.zeros(records.size, dtype=np.bool_)
    signalled: NDArray[np.bool_] = np.isin(records["status"], _STOPPED) & (records["flags"] & Ended.TIMED_OUT == 0)
    return signalled


def _interrupted(frame: Frame) -> Frame:
    """Return *frame* with the attempts that have died of such a signal marked as interrupted."""
    body = bytearray(frame.body)
    records = np.frombuffer(body, dtype=wire.ENDED, count=frame.records)
    records["flags"][_signalled(frame)] |= np.uint32(Ended.INTERRUPTED)
    return Frame(frame.lane, frame.kind, frame.records, bytes(body))
