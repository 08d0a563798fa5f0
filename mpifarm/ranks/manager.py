"""Rank 0: what workers report goes to the schedule, what the schedule decides goes to the workers and the journal.

Glue. An `if` about tasks belongs in `schedule`, one about files in `journal`, one about the end of the run in `ending`.

A turn: all that has arrived, the clock, a note of how far dealing goes, the grants, then one flush of the journal. If the
list, its lock or its files are out of our hands (`custody`), nothing more is dealt: what runs is ended.

What the tasks have printed is up to its reader. If so much waits for him that it is `full`, nothing more is taken from the
workers, and who is not heard is not silent.
"""

from __future__ import annotations

from collections.abc import Sequence

from mpifarm.journal import lines, resume
from mpifarm.journal.journal import Journal
from mpifarm.journal.opening import Run
from mpifarm.launcher.frames import Killed
from mpifarm.ranks import wire
from mpifarm.ranks.comm import Comm, Received
from mpifarm.ranks.custody import Custody
from mpifarm.ranks.deadline import Deadline
from mpifarm.ranks.ending import Ending
from mpifarm.ranks.notices import Notices
from mpifarm.ranks.pace import Pace
from mpifarm.ranks.reports import Reports
from mpifarm.ranks.wire import NO_NOTE, Note, Report, Tag
from mpifarm.ranks.witness import Witness
from mpifarm.schedule import answers
from mpifarm.schedule.answers import Action, Finish, Grant, How, Lost, Outcome, Revived
from mpifarm.schedule.history import LOST_LIMIT
from mpifarm.schedule.quarantine import Judged
from mpifarm.schedule.schedule import Schedule
from mpifarm.schedule.silence import Silence
from mpifarm.schedule.suspects import NOTHING, Dealt, Suspicion
from mpifarm.settings import Config
from mpifarm.site.offer import Offer
from mpifarm.view import status
from mpifarm.view.earlier import Earlier
from mpifarm.words import count

_NONE_KILLED = Killed()


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
        self.gone: set[int] = set()  # ranks that were lost, and have not been heard of since
        self._comm = comm
        self._custody = Custody(run, journal, now)
        left = run.scan.tasks - run.start.done_count - run.start.again.size
        again, suspects = resume.again(run.start)
        max_fails = config.max_fails.among(run.scan.tasks) if config.max_fails else None
        self._schedule = Schedule(
            self._custody.take, left, again, ranks,
            retries=config.retries, max_fails=max_fails, suspects=suspects,
            silence=Silence(config.lost_after_s, config.kill_after_s),
        )  # fmt: skip
        self._deadline = Deadline(config, end, now)
        earlier = Earlier(run.names.joblog, journal.joblog_bytes)
        pace = Pace(self._schedule, self._custody, self._deadline, now, earlier)
        self._notices = Notices(config, run, journal, len(ranks), pace, self._deadline, now)
        self._witness = Witness(config, run, journal, self._schedule, self._custody, pace, self._deadline, now)
        self._reports = Reports(self._schedule, self._custody, journal, self._deadline, self._notices, pace, self._witness)
        self.ending = Ending(self._schedule, self._custody, self._deadline, self._notices, self._witness)
        self._dealt = False
        self._beat_s = config.lost_after_s / wire.BEATS_PER_LOST_AFTER
        self._beat_at = now + self._beat_s
        self._tell_of_suspects(run.start.suspicion)
        self._heed_trouble(now)

    @property
    def outcome(self) -> Outcome | None:
        """How it has ended; None if it goes on."""
        return self.ending.outcome

    @property
    def full(self) -> bool:
        """Whether so much waits for the reader of standard output that no message of another rank should be taken."""
        return self._custody.full

    @property
    def outputs(self) -> list[int]:
        """What to poll for writing."""
        return self._custody.outputs

    def on_message(self, received: Received, now: float) -> None:
        """A worker has sent something."""
        try:
            self._on_message(received, now)
        except OSError as error:
            self._custody.failed(error)
        if self._custody.trouble:
            self._heed_trouble(now)

    def _on_message(self, received: Received, now: float) -> None:
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
        self.ending.stop_asked(why)
        self._notices.tell(why, "stop")
        self._witness.stopping(why)
        self._do(self._schedule.stop_asked(how, now))

    def lose(self, rank: int) -> None:
        """MPI has found *rank* dead."""
        self.gone.add(rank)
        self._do(self._schedule.worker_lost(rank))

    @property
    def due_at(self) -> float:
        """When it has to look at the clock, whatever happens."""
        return self._deadline.next_at

    def was_away(self, away_s: float) -> None:
        """So long this process did not run: the job may have been suspended."""
        self._deadline.was_away(away_s)

    def turn(self, now: float, drained: bool = True) -> None:
        """Do what is due; *drained*: all that has arrived has been told, so who was not heard of is silent."""
        if self.outcome is not None:
            return
        with self._custody.guarded():
            self._turn(now, drained)
        self._heed_trouble(now)

    def finish(self, now: float) -> None:
        """Write the last word on the tasks. Nothing runs any more but what some have left behind."""
        self._reports.finish()
        if given_up := self._custody.given_up:
            self._notices.tell(status.unread(given_up))
        self.ending.note_failures(now)
        if self.outcome is Outcome.ALL_SUCCEEDED:
            self._custody.finish()
        else:
            self._custody.checkpoint(now, self._schedule.unfinished(), self._schedule.suspects())
        self._heed_trouble(now)

    def close(self, now: float, killed: Killed = _NONE_KILLED) -> Outcome:
        """Give the list back, say how it ended, and return that; *killed* is what tasks had left behind."""
        if notice := status.killed(killed, self._custody.place):
            self._notices.tell(notice)
        self._custody.close()
        self._heed_trouble(now)
        self._witness.close(self.ending.judge(), now)
        self._custody.release()
        outcome = self.ending.last_words(now)
        self._notices.hush()
        return outcome

    def abandon(self) -> None:
        """Give the list back as it is."""
        self._custody.release()
        self._notices.hush()

    def _turn(self, now: float, drained: bool) -> None:
        self._custody.look(now)
        self._heed_trouble(now)
        while limit := self._deadline.take(now, self._schedule.stopping):
            how, why = limit
            self._notices.tell(why, "limit")
            self._witness.stopping("stopped by the end of the job")
            self._do(self._schedule.stop_asked(how, now))
        actions = self._schedule.clock_ticked(now, drained and not self.full)
        self._note(actions)
        self._do(actions)
        self.ending.heed_failures()
        self._heed_trouble(now)
        self._write(now)
        if now >= self._beat_at:
            self._beat_at = now + self._beat_s
            self._beat()
        self.ending.decide()
        if self.outcome is None:
            self._notices.status(self._schedule, self._witness.rss_kib, now)
            self._witness.turn(now)

    # what comes in

    def _on_hello(self, rank: int, hello: Offer, now: float) -> None:
        self.gone.discard(rank)
        self.ending.worker_joined(rank)
        self._do(self._schedule.worker_joined(rank, hello.node, hello.slots, now))
        self._notices.joined(rank, hello, now)
        self._witness.joined(rank, hello)

    def _on_report(self, rank: int, report: Report, now: float) -> None:
        if report.ended.size:
            self.ending.attempts_ended(report)
            self._reports.ended(rank, report, now)
        if report.notes is not NO_NOTE and report.notes & Note.BROKEN:
            self._on_broken(rank, bytes(report.output).decode(errors="replace"))
            return
        if report.output and not report.ended.size:
            self._reports.keep(rank, report)
        self._schedule.credit_changed(rank, report.seen, report.credit, report.doubted)
        if report.notes is not NO_NOTE and report.notes & Note.LEAVING:
            self._schedule.worker_left(rank)

    def _on_broken(self, rank: int, lacks: str) -> None:
        """A worker can run nothing any more, but the rank itself is well; *lacks*: what its node lacks, if that is it."""
        node = self._schedule.node(rank)
        self._do(self._schedule.worker_lost(rank, innocent=bool(lacks)))
        self.gone.discard(rank)
        if lacks:
            self.ending.worker_broken(rank, node, lacks)

    # what was decided

    def _do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Grant):
                message = wire.pack_grant(action.offsets, action.lengths, action.seqs, action.attempts)
                self._comm.send(action.rank, Tag.GRANT, message)
            elif isinstance(action, answers.Stop):
                self._comm.send(action.rank, Tag.STOP, wire.pack_stop(wire.Stop(action.how)))
            elif isinstance(action, Lost):
                self._lose(action)
            elif isinstance(action, Judged):
                self._notices.judged(action)
                self._witness.judged(action)
            elif isinstance(action, Revived):
                self._witness.revived(action.seqs)
            elif isinstance(action, Finish):
                self.ending.tasks_ended(action.outcome)

    def _lose(self, lost: Lost) -> None:
        self.gone.add(lost.rank)
        self._reports.forget(lost.rank)
        self.ending.worker_lost(lost)
        self._witness.lost(lost)
        where = f" on {lost.node}" if lost.node else ""
        had = f"what it had is dealt again, {count(lost.leases, 'task')}" if lost.leases else "it had no task"
        self._notices.tell(f"worker {lost.rank}{where} is lost: {had}", "lost")
        for offset in lost.poisoned:
            self._convict(offset, f"has lost its worker {LOST_LIMIT} times in turn, those of earlier runs counted")

    def _tell_of_suspects(self, suspicion: Suspicion) -> None:
        for offset in sorted(suspicion.convicted):
            deaths = suspicion.counts[offset]
            self._convict(offset, f"was running when its worker or the farm died, {deaths} times, the last one alone")
        if suspicion.raised and not suspicion.convicted:
            raised = f"what may have run then goes last: {count(suspicion.raised, 'task')}"
            self._notices.tell(f"a farm ended here without a word; {raised}")

    def _convict(self, offset: int, why: str) -> None:
        _, length, seq = self._schedule.failed(offset)
        command = lines.in_one_line(self._custody.commands([offset], [length])[0]).decode(errors="replace")
        self._notices.tell(f"failed for good: task {seq} ({self._custody.place(seq)}) {why}: {command}")

    # what is written

    def _note(self, actions: Sequence[Action]) -> None:
        """Say how far dealing goes, before the grants leave.

        Who is killed while it ends what runs was given too little time, perhaps: that is nobody's fault.
        """
        self._dealt = self._dealt or any(isinstance(action, Grant) for action in actions)
        if not self._dealt:
            self._custody.note(None)
            return
        ending = self._schedule.stopping not in (None, How.DRAIN)
        self._custody.note(NOTHING if ending else Dealt(self._custody.dealt_to, *self._schedule.tried))

    def _write(self, now: float) -> None:
        self._custody.write(now)
        self.ending.hurry(now)
        if self._custody.checkpoint_is_due(now):
            self._custody.checkpoint(now, self._schedule.unfinished(), self._schedule.suspects())
        self._heed_trouble(now)

    def _heed_trouble(self, now: float) -> None:
        """End what runs if what comes of it cannot be written."""
        if trouble := self._custody.take_trouble():
            self._notices.warn(f"{trouble}: stopping; what is not in the progress file will run again")
            self._witness.stopping(trouble)
            self._do(self._schedule.stop_asked(How.KILL, now))

    def _beat(self) -> None:
        for rank in self._schedule.workers:
            self._comm.send(rank, Tag.BEAT, wire.pack_beat())
