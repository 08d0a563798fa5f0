"""Rank 0: what workers report goes to the schedule, what the schedule decides goes to the workers and the journal.

Glue. An `if` about tasks belongs in `schedule`, one about files in `journal`.

A turn: all that has arrived, the clock, a note of how far dealing goes, the grants, then one flush of the journal. If a
write fails, or if the lock turns out to be somebody else's, nothing more is dealt or written: what runs is ended, and what
was not written runs again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

import numpy as np

from mpifarm import FarmError, files, say
from mpifarm.ended import Ended
from mpifarm.journal import lines
from mpifarm.journal.journal import Journal
from mpifarm.journal.lines import Attempt, Attempts
from mpifarm.journal.lock import Lock
from mpifarm.journal.opening import Run
from mpifarm.journal.resume import Resume
from mpifarm.journal.spool import Spool
from mpifarm.launcher.frames import Killed
from mpifarm.ranks import wire
from mpifarm.ranks.comm import Comm, Received
from mpifarm.ranks.wire import NO_NOTE, Note, Report, Tag
from mpifarm.schedule import schedule
from mpifarm.schedule.quarantine import Judged
from mpifarm.schedule.schedule import Action, Finish, Grant, How, Lost, Outcome, Schedule, Verdict
from mpifarm.schedule.suspects import NOTHING, Dealt, Suspect
from mpifarm.settings import Config
from mpifarm.site.offer import Offer
from mpifarm.tasks.offsets import among
from mpifarm.tasks.reader import Reader
from mpifarm.tasks.tfin import RECORD, Records, checksum, command_of
from mpifarm.tasks.walk import Walk
from mpifarm.view import status

CHECKPOINT_S = 20.0
MARGIN_S = 60.0
LAST_S = 10.0  # how long before the end of the job what runs is ended: TERM, 5 s, KILL, and a flush

_AHEAD_BYTES = 8192
_NOTHING = memoryview(b"")
_NONE_KILLED = Killed()
_MOST_TOLD = 3  # of tasks that leave processes behind, on standard error; the log has them all


class Manager:
    """The dealer of one list."""

    def __init__(
        self,
        config: Config,
        comm: Comm,
        run: Run,
        journal: Journal,
        ranks: Sequence[int],
        now: float,
        end: float | None = None,
    ) -> None:
        """*ranks* are the workers'; *end* is when the job ends (monotonic, seconds), None if it does not."""
        self.outcome: Outcome | None = None
        self.gone: set[int] = set()  # ranks that were lost, and have not been heard of since
        self._config = config
        self._comm = comm
        self._expected = len(ranks)
        self._hellos: dict[int, Offer] = {}
        self._run, self._scan, self._start = run, run.scan, run.start
        self._lock: Lock = run.lock
        self._journal = journal
        self._walk = Walk(run.scan.descriptor, run.scan.size, run.start.offset, run.start.seq)
        self._reader = Reader(run.scan.descriptor, _AHEAD_BYTES)
        self._crc, self._crc_offset = run.start.list_crc, run.start.offset
        left = run.scan.tasks - run.start.done_count - run.start.again.size
        again, suspects = _suspects(run.start)
        self._schedule = Schedule(
            self._take, left, again, ranks,
            retries=config.retries, max_fails=config.max_fails, lost_after_s=config.lost_after_s, suspects=suspects,
        )  # fmt: skip
        self._now = now
        self._unreadable = ""
        self._limits = _limits(config, end, now)
        self._asked = False  # to stop, by somebody
        self._limited: How | None = None  # how the end of the job has stopped the farm
        self._cut_off = 0  # tasks that ran then
        self._longest: Attempt | None = None  # of them
        self._dealt = False
        self._spools: dict[tuple[int, int], Spool] = {}  # by rank and lane
        self._stopped_writing = False
        self._left = 0  # tasks that have left processes behind
        self._began = now
        self._beat_s = config.lost_after_s / wire.BEATS_PER_LOST_AFTER
        self._beat_at = now + self._beat_s
        self._checkpoint_at = now + CHECKPOINT_S
        self._status_at = now + status.EVERY_S
        self._tell_of_suspects()

    def on_message(self, received: Received, now: float) -> None:
        """A worker has sent something."""
        rank = received.source
        if received.tag is Tag.HELLO:
            self._on_hello(rank, wire.unpack_hello(received.message), now)
        elif not self._schedule.heard_of(rank, now):
            if rank in self.gone:  # it was stopped, not dead, and what it has is dealt to others by now
                self.gone.discard(rank)
                self._comm.send(rank, Tag.STOP, wire.pack_stop(wire.Stop.REJOIN))
        elif received.tag is Tag.REPORT:
            self._on_report(rank, wire.unpack_report(received.message), now)

    def stop(self, how: How, now: float, why: str) -> None:
        """Somebody asks to deal nothing more, and to end, or wait for, what runs."""
        self._asked = True
        self._tell(why)
        self._do(self._schedule.stop_asked(how, now))

    def lose(self, rank: int) -> None:
        """MPI has found *rank* dead."""
        self.gone.add(rank)
        self._do(self._schedule.worker_lost(rank))

    def turn(self, now: float, drained: bool = True) -> None:
        """Do what is due; *drained*: all that has arrived has been told, so who was not heard of is silent."""
        if self.outcome is not None:
            return
        self._keep_lock(now)
        self._keep_list(now)
        while self._limits and now >= self._limits[0][0]:
            self._reach_limit(*self._limits.pop(0)[1:], now)
        actions = self._schedule.clock_ticked(now, drained)
        trouble = self._note(actions)
        self._do(actions)
        if trouble or self._unreadable:
            self._stop_writing(trouble or self._unreadable, now)
        self._write(now)
        if now >= self._beat_at:
            self._beat_at = now + self._beat_s
            self._beat()
        if now >= self._status_at and self.outcome is None:
            self._status_at = now + status.EVERY_S
            self._say(self._status(now))

    def finish(self, now: float) -> None:
        """Write the last word on the tasks. Nothing runs any more but what some have left behind."""
        if self._stopped_writing:
            return
        try:
            if self.outcome is Outcome.ALL_SUCCEEDED:
                self._walk.take(1)  # nothing: what is left are no tasks, and they are done, too
                self._journal.finish(*self._position())
            else:
                self._checkpoint()
        except OSError as error:
            self._stop_writing(_cannot_write(error), now)

    def close(self, now: float, killed: Killed = _NONE_KILLED) -> Outcome:
        """Give the list back, say how it ended, and return that; *killed* is what tasks had left behind."""
        assert self.outcome is not None
        if notice := status.killed(killed):
            self._tell(notice)
        if not self._stopped_writing:
            try:
                self._journal.flush()
                self._journal.close()
            except OSError as error:
                self._stop_writing(_cannot_write(error), now)
        self._lock.release()
        if self._stopped_writing:
            self.outcome = Outcome.WORK_LEFT
        self._say(self._last_words(now))
        return self.outcome

    def abandon(self) -> None:
        """Give the list back as it is."""
        self._lock.release()

    # the end

    def _reach_limit(self, how: How, why: str, now: float) -> None:
        if self._schedule.stopping is None or self._schedule.stopping < how:
            self._limited = how
        self._tell(why)
        self._do(self._schedule.stop_asked(how, now))

    def _in_vain(self) -> bool:
        """Whether the job was too short for whatever is left: it has finished nothing, and begun nothing new."""
        limited = self._limited is not None and not self._asked and self.outcome is Outcome.WORK_LEFT
        return limited and self._walk.offset == self._start.offset > 0 and not self._journal.recorded

    def _last_words(self, now: float) -> str:
        counts, total, before = self._schedule.counts, self._scan.tasks, self._start.done_count
        counts.done = self._journal.recorded
        assert self.outcome is not None
        if self._longest:
            where = self._place(self._longest.offset)
            self._say(status.cut_off(self._cut_off, self._longest, where))
        if not self._stopped_writing and self._in_vain():
            self.outcome = Outcome.SOME_FAILED
            return status.in_vain(before, total)
        return status.verdict(self.outcome, counts, total, before, now - self._began, self._run.names.log)

    def _place(self, offset: int) -> str:
        """Return where in the list a task stands."""
        path = self._run.tasklist.path
        try:
            return f"{path}:{self._run.tasklist.line_at(offset)}"
        except OSError:  # gone, with its file system
            return str(path)

    # reports

    def _on_hello(self, rank: int, hello: Offer, now: float) -> None:
        self.gone.discard(rank)
        self._do(self._schedule.worker_joined(rank, hello.node, hello.slots, now))
        if rank in self._hellos:
            self._tell(f"worker {rank} on {hello.node} is back")
            return
        self._hellos[rank] = hello
        if len(self._hellos) == self._expected:
            for notice in status.placement(self._hellos, self._config):
                self._say(notice)

    def _on_report(self, rank: int, report: Report, now: float) -> None:
        if report.ended.size:
            self._on_ended(rank, report, now)
        elif report.output:
            self._keep(rank, report)
        if report.notes is not NO_NOTE and report.notes & Note.BROKEN:
            self._do(self._schedule.worker_lost(rank))
            self.gone.discard(rank)  # the rank itself is well
            return
        self._schedule.credit_changed(rank, report.seen, report.credit)
        if report.notes is not NO_NOTE and report.notes & Note.LEAVING:
            self._schedule.worker_left(rank)

    def _keep(self, rank: int, report: Report) -> None:
        key = (rank, report.lane)
        try:
            self._spools.setdefault(key, Spool()).append(report.output)
        except OSError as error:
            self._stop_writing(f"no place to keep the output of a task: {error} (set TMPDIR)", self._now)

    def _on_ended(self, rank: int, report: Report, now: float) -> None:
        self._now = now
        ended = report.ended
        flags = ended["flags"]
        offsets = ended["offset"].tolist()
        bad = interrupted = [False] * len(offsets)
        if np.count_nonzero(ended["status"]) or np.count_nonzero(flags):  # any() takes five times as long for a few
            interrupted = ((flags & Ended.INTERRUPTED) != 0).tolist()
            bad = ((ended["status"] != 0) | (flags != 0) & (flags != Ended.CLIPPED)).tolist()
        ends = self._schedule.attempts_ended(rank, offsets, ended["attempt"].tolist(), bad, interrupted, now)
        told = Attempts(self._schedule.node(rank), ended, ends.lengths, ends.seqs, self._commands(offsets, ends.lengths))
        spool = self._spools.pop((rank, report.lane), None)
        plain = ends.verdicts.count(Verdict.SUCCEEDED) == len(offsets) and not np.count_nonzero(ended["left"])
        if spool or not plain or np.count_nonzero(ended["err_bytes"]):
            self._record_each(told, ends.verdicts, spool, report.output)
        else:
            self._journal.succeeded(told, None, report.output, _NOTHING)

    def _record_each(self, told: Attempts, verdicts: Sequence[Verdict], spool: Spool | None, output: memoryview) -> None:
        """Record attempts that have ended in different ways."""
        at = 0
        for number, (row, verdict) in enumerate(zip(told.ended, verdicts, strict=True)):
            middle = at + int(row["out_bytes"])
            out, err = output[at:middle], output[middle : middle + int(row["err_bytes"])]
            at = middle + len(err)
            if verdict is not Verdict.STALE:
                self._record(told.one(number), verdict, spool, out, err)
            elif spool:
                spool.close()
            spool = None  # it was the first one's

    def _take(self, count: int) -> Records:
        """Read on in the list; where it cannot be read the farm stops."""
        try:
            return self._walk.take(count)
        except OSError as error:
            self._unreadable = f"cannot read {self._run.names.tfin}: {error.strerror or error}"
            return np.empty(0, dtype=RECORD)

    def _commands(self, offsets: Sequence[int], lengths: Sequence[int]) -> list[bytes]:
        tfin = self._run.names.tfin
        try:
            records = self._reader.records(offsets, lengths)
        except OSError as error:
            self._stop_writing(f"cannot read {tfin}: {error.strerror}", self._now)
            return [b""] * len(offsets)
        if sum(map(len, records)) < sum(lengths):
            self._stop_writing(f"{tfin} was cut", self._now)
        return [command_of(record) for record in records]

    def _record(self, one: Attempts, verdict: Verdict, spool: Spool | None, out: memoryview, err: memoryview) -> None:
        if verdict is Verdict.SUCCEEDED:
            self._journal.succeeded(one, spool, out, err)
            if one.ended["left"][0]:
                self._on_left(one.first())
            return
        attempt = one.first()
        if verdict is not Verdict.INTERRUPTED:
            self._journal.failed(attempt, out, err, verdict is Verdict.FAILED_FOR_GOOD)
        elif not attempt.flags & Ended.NOT_STARTED:
            self._record_interrupted(attempt)

    def _record_interrupted(self, attempt: Attempt) -> None:
        if self._limited in (None, How.DRAIN):
            self._journal.interrupted(attempt)
            return
        self._journal.interrupted(attempt, "the end of the job")
        self._cut_off += 1
        if self._longest is None or attempt.seconds > self._longest.seconds:
            self._longest = attempt

    def _on_left(self, attempt: Attempt) -> None:
        """A task has ended with 0, and some of it goes on: what comes of that nobody will know."""
        self._left += 1
        text = status.left_behind(attempt)
        self._journal.event(text)
        if self._left <= _MOST_TOLD:
            self._say(text)
        elif self._left == _MOST_TOLD + 1:
            self._say(f"more tasks leave processes running in the background: {self._run.names.log} names them")

    # decisions

    def _do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Grant):
                message = wire.pack_grant(action.offsets, action.lengths, action.seqs, action.attempts)
                self._comm.send(action.rank, Tag.GRANT, message)
            elif isinstance(action, schedule.Stop):
                self._comm.send(action.rank, Tag.STOP, wire.pack_stop(wire.Stop(action.how)))
            elif isinstance(action, Lost):
                self._lose(action)
            elif isinstance(action, Judged):
                self._tell(status.judgement(action))
            elif isinstance(action, Finish):
                self.outcome = action.outcome

    def _lose(self, lost: Lost) -> None:
        self.gone.add(lost.rank)
        for key in [key for key in self._spools if key[0] == lost.rank]:
            self._spools.pop(key).close()
        where = f" on {lost.node}" if lost.node else ""
        self._tell(f"worker {lost.rank}{where} is lost: {lost.leases} tasks that it had are dealt again")
        for offset in lost.poisoned:
            self._convict(offset, f"has lost its worker {schedule.LOST_LIMIT} times in turn, those of earlier runs counted")

    def _tell_of_suspects(self) -> None:
        suspicion = self._start.suspicion
        for offset in sorted(suspicion.convicted):
            deaths = suspicion.counts[offset]
            self._convict(offset, f"was running when its worker or the farm died, {deaths} times, the last one alone")
        if suspicion.raised and not suspicion.convicted:
            self._tell(f"a farm ended here without a word; what may have run then goes last: {suspicion.raised} tasks")

    def _convict(self, offset: int, why: str) -> None:
        _, length, seq = self._schedule.failed(offset)
        command = lines.in_one_line(self._commands([offset], [length])[0]).decode(errors="replace")
        self._tell(f"failed for good: task {seq} (offset {offset}) {why}: {command}")

    # files

    def _note(self, actions: Sequence[Action]) -> str:
        """Say how far dealing goes, before the grants leave; return what is wrong if that cannot be.

        Who is killed while it ends what runs was given too little time, perhaps: that is nobody's fault.
        """
        self._dealt = self._dealt or any(isinstance(action, Grant) for action in actions)
        if not self._dealt or self._stopped_writing:
            return ""
        ending = self._schedule.stopping not in (None, How.DRAIN)
        try:
            self._lock.note(NOTHING if ending else Dealt(self._walk.offset, *self._schedule.tried))
        except OSError as error:
            return _cannot_write(files.named(error, self._run.names.lock))
        return ""

    def _keep_lock(self, now: float) -> None:
        if self._stopped_writing:
            return
        try:
            if not self._lock.held(now):
                lock = self._run.names.lock
                gone = f"{lock} is gone, or the whole working directory"
                taken = "another mpifarm has taken over this list, or its --output"
                self._stop_writing(taken if lock.exists() else gone, now)
        except OSError as error:
            self._stop_writing(_cannot_write(error), now)

    def _keep_list(self, now: float) -> None:
        """Stop if the list is not what it was: the workers would not find their tasks, which are innocent of that."""
        if not self._stopped_writing and os.fstat(self._scan.descriptor).st_size < self._scan.size:
            self._stop_writing(f"{self._run.names.tfin} was cut", now)

    def _write(self, now: float) -> None:
        if self._stopped_writing:
            return
        try:
            self._journal.flush(self._show_life)
            self._journal.sync(now)
            if now >= self._checkpoint_at:
                self._checkpoint_at = now + CHECKPOINT_S
                self._checkpoint()
        except OSError as error:
            self._stop_writing(_cannot_write(error), now)

    def _checkpoint(self) -> None:
        self._journal.checkpoint(*self._position(), self._schedule.unfinished(), self._schedule.suspects())

    def _position(self) -> tuple[int, int, int]:
        """Return how many records have been dealt, where that ends, and the checksum of the list up to there."""
        offset = self._walk.offset
        if os.fstat(self._scan.descriptor).st_size < offset:  # or its checksum would stand for less
            raise OSError(errno.EIO, "it was cut", str(self._run.names.tfin))
        self._crc = checksum(self._scan.descriptor, self._crc_offset, offset, self._crc)
        self._crc_offset = offset
        return self._walk.seq - 1, offset, self._crc

    def _stop_writing(self, why: str, now: float) -> None:
        if self._stopped_writing:
            return
        self._stopped_writing = True
        say(f"{why}: stopping; what is not in the progress file will run again")
        self._do(self._schedule.stop_asked(How.KILL, now))

    def _beat(self) -> None:
        for rank in self._schedule.workers:
            self._comm.send(rank, Tag.BEAT, wire.pack_beat())

    def _show_life(self) -> None:
        """The reader of standard output takes its time: neither the workers nor another farm should think us dead."""
        self._lock.touch()
        self._beat()

    # people

    def _status(self, now: float) -> str:
        slots = sum(slots for _, slots in self._schedule.workers.values())
        return status.line(self._schedule.counts, self._scan.tasks, self._start.done_count, slots, now - self._began)

    def _tell(self, text: str) -> None:
        self._journal.event(text)
        self._say(text)

    def _say(self, text: str) -> None:
        if not self._config.quiet:
            say(text)


def _cannot_write(error: OSError) -> str:
    return f"cannot write {error.filename or ''}: {error.strerror or error}"


def refuse_short_job(config: Config, end: float | None, now: float) -> None:
    """Raise FarmError if the options leave no time to start anything in a job that ends at *end* (monotonic, seconds)."""
    asked = {"--time-request": config.time_request_s, "--margin": config.margin_s or 0.0}
    for option, asked_s in asked.items():
        left_s = max(0.0, (end or 0.0) - now)
        if end is not None and asked_s and asked_s >= left_s:
            longer = f"{option} {status.duration(asked_s)} is longer than the job: {status.duration(left_s)} are left"
            raise FarmError(f"{longer}: give less, or ask for a longer job")


def _suspects(start: Resume) -> tuple[Records, list[Suspect]]:
    """Return which tasks go again like others, and which are suspected."""
    counts, convicted = start.suspicion.counts, start.suspicion.convicted
    accused = among(start.again["offset"], np.array(sorted(counts), dtype=np.int64))
    tasks = start.again[accused][["offset", "length", "seq"]].tolist()
    return start.again[~accused], [Suspect(counts[task[0]], task, task[0] in convicted) for task in tasks]


def _limits(config: Config, end: float | None, now: float) -> list[tuple[float, How, str]]:
    """Return when to stop, how, and why, for a job that ends at *end* (monotonic, seconds)."""
    if end is None:
        return []
    margin_s = min(MARGIN_S, max(0.0, end - now) / 4) if config.margin_s is None else config.margin_s
    start_s = max(margin_s, config.time_request_s)
    last_s = min(LAST_S, margin_s)
    return [
        (end - start_s, How.DRAIN, f"the job ends in {status.duration(start_s)}: starting nothing more"),
        (end - last_s, How.KILL, f"the job ends in {status.duration(last_s)}: ending what runs"),
    ]
