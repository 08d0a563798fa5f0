"""THE state machine: what happened goes in, what to do comes out. No MPI, no file, no clock: `now` is an argument.

Rule 1: everything that decides about a task is in this wing, and its laws are here. What happens comes in here, too, and is
passed on to the part that it concerns; no part knows of this file.

A task is waiting, leased (to a rank, as attempt k), done, or failed. Its laws:

1. A task is leased to at most one rank at a time, and every lease has an attempt number of its own. A report that does
   not match the lease of its task is stale: dropped and counted, never recorded.
2. A task is recorded as succeeded at most once: only a lease can succeed, and succeeding ends it.
3. Leases never exceed credit: a rank is granted no more than it said it can take.
4. First attempts go in the order of the list. What a lost worker had, and what was interrupted, goes in front of them,
   uncharged; what failed goes behind all of them, after a pause, to another node where there is one: see `retries`.
5. After 1 + retries failures a task has failed for good. So has one that was running on LOST_LIMIT lost workers in turn,
   earlier runs counted; what may have killed a worker is not queued behind other tasks any more, so that it is known what
   was running, and after the last but one loss no other suspect runs beside it. Who is convicted acquits the others.
   What may have taken a whole farm down goes last, behind the retries: the rest should be done by then. See `suspects`.
6. No slot stays idle while a task waits that it may run; beyond its slots no rank gets more than its share of what is
   left, so the last tasks spread over all of them.
7. After a stop nothing is granted. When nothing is leased, and nothing waits or nothing may be granted: finish, once.
8. A node on which everything fails while others do well gets no more than a task now and then, until one succeeds there,
   or what failed there has failed elsewhere, too. What failed there in a row is dealt again in front; each task is let off
   such a failure once, so a list in which everything fails ends. While a node is not fit nothing is charged that fails
   there: that is one task a pause, and the pauses grow. See `quarantine`.
9. No state without a deadline: silence, a stop (rank 0's own leases included), suspicion, quarantine, a retry's pause.
10. When more than max_fails tasks have failed for good nothing more is started. As soon as it may be so many, since those
   that have failed at least once are counted, too, it is found out: retries go first, and at once, and no slot has a queue
   behind it, until one or the other is certain. Other tasks go on beside them.

The parts, each of which says what it knows and decides nothing else: who is there and has what (`workers`), who has gone
silent (`silence`), what waits and in which order (`queue`), who gets how many (`dealing`), what an end or a loss means for
a task (`judgement`), and what is remembered of one that did not succeed at once (`history`). All of them hold only what is
out of order, so memory grows with what is in flight, not with the list. What comes out is in `answers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice

from mpifarm.schedule.answers import Action, Counts, Ends, Finish, How, Lost, Outcome, Revived, Running, Seen, Stop, Verdict
from mpifarm.schedule.dealing import deal
from mpifarm.schedule.history import Histories
from mpifarm.schedule.judgement import Judge
from mpifarm.schedule.quarantine import Quarantine
from mpifarm.schedule.queue import Queue, Records
from mpifarm.schedule.retries import Task
from mpifarm.schedule.silence import Silence
from mpifarm.schedule.suspects import Suspect, Word
from mpifarm.schedule.workers import Worker, Workers


class Schedule:
    """Who runs what."""

    def __init__(
        self,
        fresh: Callable[[int], Records],
        fresh_left: int,
        again: Records,
        ranks: Iterable[int],
        *,
        retries: int = 2,
        max_fails: int | None = None,
        suspects: Sequence[Suspect] = (),
        silence: Silence,
    ) -> None:
        """*fresh(n)* returns the next n tasks of the list, fewer at its end, of which there are *fresh_left*.

        *again* are the tasks before those that earlier runs have dealt and not finished, but for their *suspects*; *ranks*
        are expected to join; *silence* finds those that should say something, and do not.
        """
        quarantine = Quarantine()
        self._workers = Workers(ranks, quarantine)
        self._histories = Histories(suspects, max_attempts=retries + 1)
        self._queue = Queue(fresh, fresh_left, again, suspects, self._histories)
        self._judge = Judge(self._histories, quarantine, self._queue)
        self._silence = silence
        self._max_fails = max_fails
        self._stopping: How | None = None
        self._finished = False
        self._done = 0
        self._stale = 0
        self._failed_attempts = 0
        self.gave_up = False  # more than max_fails tasks have failed

    # events

    def worker_joined(self, rank: int, node: str, slots: int, now: float) -> list[Action]:
        """*rank* is ready to run *slots* tasks at a time. One that had joined before has forgotten what it had."""
        actions = self.worker_lost(rank) if rank in self._workers.by_rank else []
        self._workers.join(rank, node, slots, self._silence.awake(now))
        if self._stopping:
            actions.append(Stop(rank, self._stopping))
        return actions

    def heard_of(self, rank: int, now: float) -> bool:
        """*rank* has sent something; return whether it is one of the workers."""
        worker = self._workers.by_rank.get(rank)
        if worker:
            worker.heard = self._silence.awake(now)
        return worker is not None

    def credit_changed(self, rank: int, seen: int, credit: int, doubted: int = 0) -> None:
        """*rank*, which has received *seen* tasks so far, can take *credit* more; *doubted* of what it has have ended."""
        self._workers.credit_changed(rank, seen, credit, doubted)

    def attempts_ended(
        self, rank: int, offsets: list[int], attempts: list[int], failed: list[bool], interrupted: list[bool], now: float
    ) -> Ends:
        """These attempts of *rank* have ended: lists of equal length. Return what they mean."""
        worker = self._workers.by_rank.get(rank) or Worker("", 0)
        if not (any(failed) or any(interrupted)) and (columns := self._workers.end_all(worker, offsets, attempts)):
            self._judge.all_succeeded(worker.node, offsets)
            self._done += len(offsets)
            return Ends([Verdict.SUCCEEDED] * len(offsets), *columns)
        ending = self._stopping is not None
        tasks = self._workers.end_each(worker, offsets, attempts)
        judge = self._judge.ended
        verdicts = [
            judge(worker, task, attempt, bad, stopped, ending, now) if task else Verdict.STALE
            for task, attempt, bad, stopped in zip(tasks, attempts, failed, interrupted, strict=True)
        ]
        self._done += verdicts.count(Verdict.SUCCEEDED)
        self._stale += verdicts.count(Verdict.STALE)
        self._failed_attempts += verdicts.count(Verdict.FAILED) + verdicts.count(Verdict.FAILED_FOR_GOOD)
        return Ends(verdicts, [task[1] if task else 0 for task in tasks], [task[2] if task else 0 for task in tasks])

    def worker_left(self, rank: int) -> None:
        """*rank* has been told by somebody else to stop: it takes nothing more, and will report what it had."""
        self._workers.leave(rank)

    def worker_lost(self, rank: int, innocent: bool = False) -> list[Action]:
        """*rank* is gone. What it had is dealt again, in front and uncharged; *innocent*: none of it is suspected of that.

        Who is lost while it ends what runs was given too little time, perhaps: that is nobody's fault.
        """
        if rank not in self._workers.by_rank and rank not in self._workers.expected:
            return []
        worker = self._workers.remove(rank)
        ending = self._stopping not in (None, How.DRAIN)
        if worker is None:
            return [Lost(rank, "", 0, [])]
        return [Lost(rank, worker.node, len(worker.leases), self._judge.lost(worker, innocent or ending))]

    def stop_asked(self, how: How, now: float) -> list[Action]:
        """Start nothing more; finish what runs, or end it. Never takes a stronger wish back."""
        if self._stopping is not None and how <= self._stopping:
            return []
        self._stopping = how
        if how is not How.DRAIN:
            self._silence.killing(now, at_once=how is How.KILL_NOW)
        return [Stop(rank, how) for rank in self._workers.by_rank]

    def clock_ticked(self, now: float, all_told: bool = True) -> list[Action]:
        """It is *now*: find who is silent for too long, grant what can be granted, finish if nothing is left.

        Silence is judged only after all that has arrived was told.
        """
        silent = self._silence.too_long(self._workers, now) if all_told else []
        actions = [action for rank in silent for action in self.worker_lost(rank)]
        if not self.gave_up:  # what nobody tries elsewhere any more is not taken back
            judged = self._workers.judge_nodes(now)
            revived = self._judge.nodes(judged)
            actions += [*judged, Revived(revived)] if revived else judged
        if self._have_failed(0):
            self.gave_up = True
            actions += self.stop_asked(How.DRAIN, now)
        if self._stopping is None and not self._finished:
            hurry = self._have_failed(len(self._histories.undecided))
            actions += deal(self._workers, self._queue, self._histories, now, hurry)
        finish = self._finish()
        return actions + ([finish] if finish else [])

    # what others may know

    @property
    def counts(self) -> Counts:
        """How many tasks are in which state, of those that this run has met or will meet."""
        failed, undecided = len(self._histories.failed), len(self._histories.undecided)
        leased, waiting = self._workers.leased, len(self._queue)
        return Counts(self._done, failed, leased, waiting, self._stale, undecided, self._failed_attempts)

    @property
    def done(self) -> int:
        """How many tasks have succeeded."""
        return self._done

    @property
    def stopping(self) -> How | None:
        """How it was asked to stop."""
        return self._stopping

    @property
    def workers(self) -> dict[int, tuple[str, int]]:
        """The node and the slots of every worker, by rank."""
        return {rank: (worker.node, worker.slots) for rank, worker in self._workers.by_rank.items()}

    @property
    def running(self) -> int:
        """How many slots are busy: what is leased beyond them waits on its node."""
        return sum(worker.running for worker in self._workers.by_rank.values())

    def running_ones(self, most: int) -> Iterator[Running]:
        """Yield *most* of the attempts that run, those that were dealt first of each worker."""
        ones = (
            Running(rank, offset, length, seq, attempt, worker.node)
            for rank, worker in self._workers.by_rank.items()
            for offset, (attempt, length, seq, _) in islice(worker.leases.items(), worker.slots)
        )
        return islice(ones, most)

    def seen(self, now: float, oldest: int) -> list[Seen]:
        """Return what there is to see of the workers, up to *oldest* leases of each: those that it was granted first."""
        awake = self._silence.awake(now)
        return [
            Seen(
                rank, worker.node, worker.slots, worker.running, len(worker.leases) - worker.running,
                max(0.0, awake - worker.heard),
                [(offset, *lease[:3]) for offset, lease in islice(worker.leases.items(), oldest)],
            )
            for rank, worker in self._workers.by_rank.items()
        ]  # fmt: skip

    def node(self, rank: int) -> str:
        """Return the node of a worker."""
        return self._workers.by_rank[rank].node

    @property
    def tried(self) -> tuple[int, int, int]:
        """Which suspects of earlier runs may be running: their count, and the first and the last of them. See `Dealt`."""
        return self._queue.lineup.tried

    def failed(self, offset: int) -> Task:
        """Return a task that has failed for good."""
        return (offset, *self._histories.failed[offset])

    def suspects(self) -> list[Word]:
        """Return every task that may have taken its worker, or its farm, with it, sorted."""
        return self._histories.suspects()

    def unfinished(self) -> list[int]:
        """Return the offset of every task before the dealing offset that has not succeeded, sorted."""
        waiting = (task[0] for task in self._queue.tasks())
        leased = chain.from_iterable(worker.leases for worker in self._workers.by_rank.values())
        return sorted((*leased, *self._histories.failed, *waiting))

    def check(self) -> None:
        """Raise AssertionError if a part contradicts itself, or the parts each other."""
        places = self.unfinished()
        assert len(places) == len(set(places)), "a task is in two states"
        self._workers.check()
        self._histories.check()
        lineup, leased = self._queue.lineup, self._workers.leased
        for rank, worker in self._workers.by_rank.items():
            held = [offset for offset in worker.leases if self._histories.is_suspect(offset)]
            isolated = any(map(self._histories.one_more_convicts, held)) and not lineup.alone
            assert not isolated or len(held) == 1, f"rank {rank} runs a suspect beside one that the next loss convicts"
        count, first, last = lineup.tried
        assert count < 2 or first != last or leased + len(lineup.batch) <= 1, "a suspect is not alone"
        assert not (self._finished and leased), "finished with leases"

    # the end

    def _finish(self) -> Finish | None:
        if self._finished or self._workers.leased:
            return None
        waiting = len(self._queue)
        if waiting and self._stopping is None and self._workers.anybody():
            return None
        self._finished = True
        if waiting and not self.gave_up:
            return Finish(Outcome.WORK_LEFT)
        return Finish(Outcome.SOME_FAILED if self._histories.failed else Outcome.ALL_SUCCEEDED)

    def _have_failed(self, more: int) -> bool:
        """Return whether more than max_fails tasks have failed, if *more* do than are known."""
        return self._max_fails is not None and len(self._histories.failed) + more > self._max_fails
