"""The worker of a rank: grants in, commands to the launcher, ends out as reports, heartbeats.

It decides nothing about tasks. Its one judgement is how many it asks for: `credit`. What it cannot read yet (`unread`), and
ends that may turn out to be interruptions (`doubt`), wait here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np

from mpifarm import files, say
from mpifarm.awake import AWAY_S, Awake
from mpifarm.ended import Ended
from mpifarm.launcher.frames import Killed, Reply, Task
from mpifarm.launcher.launcher import Frame, HelperLost, Launcher
from mpifarm.ranks import wire
from mpifarm.ranks.comm import Received
from mpifarm.ranks.credit import Credit
from mpifarm.ranks.doubt import Doubt, interrupted, signalled
from mpifarm.ranks.unread import List, Unread
from mpifarm.ranks.wire import Message, Note, Stop, Tag
from mpifarm.site.offer import Offer

PATIENCE_S = 0.03  # not to look for messages while there is enough to do; a helper's ends, after 20 ms, come first
MOST_UNSENT_BYTES = 8 * 1024 * 1024  # of reports on their way; beyond it the helpers are not read, and so slow down
# So much longer than a worker may be silent a manager may hang in a slow file system: a minute, or some times as long.
MANAGER_SLOW_S, MANAGER_SLOW_TIMES = 60.0, 8.0


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
    node_cpus: int = 0  # of the machine
    memory_kib: int = 0  # that the node gives to tasks

    @property
    def manager_patience_s(self) -> float:
        """How long rank 0 may be silent."""
        return self.lost_after_s + min(MANAGER_SLOW_S, MANAGER_SLOW_TIMES * self.lost_after_s)

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
        self._list = List(settings.tfin)
        self._seen = 0  # tasks granted so far
        self._held = 0  # of those, not ended yet
        self._credit = Credit(settings.slots)
        self._notes = Note(0)
        self._clock = Awake(now)  # rank 0 is silent only for as long as this process has listened
        self._sent = now
        self._heard = now  # on that clock
        self._beat_s = settings.lost_after_s / wire.BEATS_PER_LOST_AFTER
        self._doubt = Doubt()
        self._stuck = False  # so much is on its way that the launcher is not read, and nobody should wake up for it
        self._rejoining = False
        self._unread = Unread()
        launcher.set_up(settings.node, settings.slots, settings.first_slot, settings.widen, settings.task_cpus)
        self._join(now)

    @property
    def descriptors(self) -> list[int]:
        """What to poll for reading."""
        return [] if self._stuck else self._launcher.descriptors()

    @property
    def patience_s(self) -> float:
        """How long the launcher has enough to do, so that nobody waits for a message."""
        if self.state is State.WORKING and not self._rejoining and self._credit.is_enough(self._held):
            return PATIENCE_S
        return 0.0

    def on_message(self, received: Received, now: float) -> None:
        """The manager has sent something."""
        self._heard = self._awake(now)
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
        self._stuck = backlog + self._doubt.size >= MOST_UNSENT_BYTES
        if not self._stuck:
            try:
                frames = self._launcher.read()
            except HelperLost as lost:
                self._break(str(lost), now, Note.BROKEN)
        for frame in frames:
            self._consider(frame, now)
        if self._doubt.waiting:
            for frame in self._doubt.take(now, everything=self.state is State.LEAVING):
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
        own = self._settings
        offer = Offer(own.slots, own.cpus, own.usable_cpus, own.node, own.node_cpus, own.memory_kib)
        self._send(Tag.HELLO, wire.pack_hello(offer), now)
        self._report(now)

    def _break(self, why: str, now: float, notes: Note = Note.BROKEN | Note.LACKING) -> None:
        """Without its launcher this node can run nothing: what it had is dead, and rank 0 deals it again."""
        say(f"{self._settings.node}: {why}: nothing more is run here")
        self._launcher.close()
        self.state = State.LEAVING
        self._give_back(self._unread.take_held(), now)
        self._notes |= notes
        self._report(now, body=why.encode() if notes & Note.LACKING else b"")

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
        if unread.is_hopeless(now):
            place = f"{self._settings.tfin} in {files.working_directory()}"
            self._break(f"does not see {place} as rank 0 does", now)
        elif unread.is_due(now):
            self._list.reopen()
            self._try(unread.take(), now)
        elif unread.is_for_others(now):
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
        self._unread.give_back()
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
            self._doubt.clear()
            self._held -= self._unread.take_held().size
        else:
            self.state = State.LEAVING
            self._give_back(self._unread.take_held(), now)
        orders = {Stop.DRAIN: self._launcher.recall, Stop.KILL: self._launcher.terminate}
        orders.get(how, self._launcher.kill)()

    def _consider(self, frame: Frame, now: float) -> None:
        """Pass a frame on, or let it wait a moment. Its slots are free in any case."""
        if frame.kind is Reply.TROUBLE:
            self._break(frame.body.decode(errors="replace"), now)
            return
        self._held -= frame.records
        if self._rejoining:  # rank 0 has dealt it again
            return
        if frame.records:
            self._credit.ended(np.frombuffer(frame.body, dtype=wire.ENDED, count=frame.records)["seconds"])
        doubtful = self.state is State.WORKING and signalled(frame).any()
        if not doubtful and not self._doubt.waiting:
            self._pass_on(frame, now)
            return
        self._doubt.add(frame, now) if doubtful else self._doubt.follow(frame)
        if frame.records:
            self._report(now)

    def _pass_on(self, frame: Frame, now: float) -> None:
        if frame.kind is Reply.ENDED and self.state is State.LEAVING:
            frame = interrupted(frame)
        self._report(now, frame.lane, frame.records, frame.body)

    def _report(self, now: float, lane: int = 0, records: int = 0, body: bytes = b"") -> None:
        asks = self.state is State.WORKING and not self._rejoining and self._unread.held
        credit = self._credit.free(self._held) if asks else 0
        message = wire.pack_report(self._seen, credit, self._notes, lane, records, body, self._doubt.records)
        self._send(Tag.REPORT, message, now)

    def _send(self, tag: Tag, message: Message, now: float) -> None:
        self._send_message(tag, message)
        self._sent = now

    def _keep_in_touch(self, now: float) -> None:
        if now >= self._sent + self._beat_s:
            self._send(Tag.BEAT, wire.pack_beat(), now)
        silent_s = self._awake(now) - self._heard
        if silent_s > self._settings.manager_patience_s:
            raise ManagerLost(f"rank 0 has been silent for {silent_s:.0f} s")

    def _awake(self, now: float) -> float:
        return self._clock.turn(now, slept_s=min(AWAY_S, self._beat_s))  # so much counts: who is always slow, see `silence`
