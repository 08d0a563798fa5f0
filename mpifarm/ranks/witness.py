"""What rank 0 has seen of its run, for whoever asks: it keeps the status file.

The rule: it decides nothing, and nothing depends on it. Who cannot write the status file, on a full disk say, goes on
without. And it costs next to nothing: what the journal has recorded in a turn is put aside (`view.tally`), a look at all
workers is taken when the file is written, every EVERY_S.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from mpifarm.journal.journal import Journal
from mpifarm.journal.lines import Attempt, Attempts, Rows
from mpifarm.journal.opening import Run
from mpifarm.ranks import wire
from mpifarm.ranks.custody import Custody
from mpifarm.ranks.deadline import Deadline
from mpifarm.ranks.pace import Pace
from mpifarm.ranks.seniors import OLDEST
from mpifarm.schedule.answers import Lost, Outcome, Seen
from mpifarm.schedule.quarantine import Fitness, Judged
from mpifarm.schedule.schedule import Schedule
from mpifarm.settings import Config
from mpifarm.site.offer import Offer
from mpifarm.view import crowd, placement, slowness, snapshot
from mpifarm.view.kinds import Kinds
from mpifarm.view.snapshot import Snapshot
from mpifarm.view.tally import Histogram, Tally

EVERY_S = 2.0

_WINDOW_S = 30.0  # rates are of the last one to two of these
_LEAST_DONE = 8  # tasks that a node has done before it is compared
_NOTES = {Fitness.FIT: "", Fitness.SUSPECTED: "suspected"}
_STATES = {Outcome.ALL_SUCCEEDED: snapshot.DONE, Outcome.SOME_FAILED: snapshot.FAILED}


@dataclass(slots=True)
class _Node:
    name: str
    done: int = 0
    failed: int = 0
    note: str = ""
    at: float | None = None  # Unix time of the note


class Witness:
    """What is to be seen of one run."""

    def __init__(
        self,
        config: Config,
        run: Run,
        journal: Journal,
        schedule: Schedule,
        custody: Custody,
        pace: Pace,
        deadline: Deadline,
        now: float,
    ) -> None:
        self._list = run.tasklist.path.name
        self._total, self._before = run.scan.tasks, run.start.done_count
        self._journal, self._schedule, self._custody = journal, schedule, custody
        self._pace, self._deadline = pace, deadline
        clock = time.time()
        holder = run.lock.holder
        job = config.job.id if config.job else ""
        self._run = snapshot.Run(holder.host, holder.pid, job, started=clock)
        self._tally = Tally(wire.ENDED)
        self._kinds = Kinds()
        self._nodes: list[_Node] = []
        self._places: dict[str, int] = {}  # of nodes, by name
        self._offers: dict[int, Offer] = {}
        self._of_rank: dict[int, int] = {}  # the place of its node
        self._lost = 0  # attempts that were dealt again
        self._why = ""
        self._slot_s = self._busy_s = 0.0
        self._had = self._ran = 0  # slots and tasks, at the last look
        self._looked = now
        self._marks: deque[tuple[float, int, list[int]]] = deque([(now, 0, [])])  # when, tasks done, by node
        self._medians: list[float] = []
        self._medians_at = -math.inf
        self._due = now
        journal.watched_by(self.recorded)

    # what it sees

    def joined(self, rank: int, offer: Offer) -> None:
        """A worker has come, or is back."""
        place = self._places.setdefault(offer.node, len(self._nodes))
        if place == len(self._nodes):
            self._nodes.append(_Node(offer.node))
        self._offers[rank] = offer
        self._of_rank[rank] = place
        self._note(place, "")

    def lost(self, lost: Lost) -> None:
        """A worker is gone."""
        self._lost += lost.leases - len(lost.poisoned)
        if lost.rank in self._of_rank:
            self._note(self._of_rank[lost.rank], "lost")

    def judged(self, judged: Judged) -> None:
        """It has changed what is thought of a node."""
        if judged.node in self._places:
            self._note(self._places[judged.node], _NOTES.get(judged.fitness, "in quarantine"))

    def recorded(self, batches: Sequence[Attempts], rows: Rows) -> None:
        """Tasks have succeeded, and stand in the journal."""
        places = self._places
        self._tally.add([places[batch.node] for batch in batches], [batch.ended.size for batch in batches], rows)

    def failed(self, attempt: Attempt, err: memoryview, final: bool) -> None:
        """An attempt has failed, and has said *err*; *final*: its task has failed for good."""
        self._kinds.add(attempt, err, final)
        self._nodes[self._places[attempt.node]].failed += 1

    def revived(self, seqs: Sequence[int]) -> None:
        """These tasks had failed for good, and have not."""
        self._kinds.revived(seqs)

    def stopping(self, why: str) -> None:
        """Nothing more is started, and *why*; the first reason counts."""
        self._why = self._why or why

    # what it tells

    @property
    def rss_kib(self) -> Histogram:
        """Peak memory of the tasks that had succeeded when it was written down last."""
        return self._tally.rss_kib

    def turn(self, now: float) -> None:
        """Write it down now and then."""
        if now >= self._due:
            self._due = now + EVERY_S
            with suppress(OSError):  # nobody's result
                self._journal.publish(self._snapshot(now).text())

    def close(self, outcome: Outcome, now: float) -> None:
        """It has ended: write down how."""
        state = snapshot.STOPPED if self._custody.stopped else _STATES.get(outcome, snapshot.STOPPED)
        with suppress(OSError):
            self._journal.publish(self._snapshot(now, state).text())

    def _snapshot(self, now: float, state: str = snapshot.RUNNING) -> Snapshot:
        clock = time.time()
        workers = self._schedule.seen(now, OLDEST if state == snapshot.RUNNING else 0)
        self._tally.settle()
        for node, done in zip(self._nodes, self._tally.counts(), strict=False):
            node.done = done
        done_now = self._custody.recorded
        rate = self._look(workers, done_now, now)
        nodes, others = crowd.shortened(self._nodes_seen(workers, now))
        reasons, other_failures = self._kinds.told()
        busy = sum(worker.running for worker in workers)
        kinds, tasks = self._kinds, self._tasks(done_now, busy, state)
        slots = sum(worker.slots for worker in workers)
        longest = self._pace.seniors.told(workers, now, clock, self._custody.peek)
        return Snapshot(
            snapshot.SCHEMA, self._list, state, tasks, clock,
            run=self._run_now(state, now, clock, done_now),
            attempts=snapshot.Attempts(kinds.attempts, kinds.attempts - kinds.final, self._lost),
            seconds=_times(self._tally.seconds),
            rss_kib=_memory(self._tally.rss_kib),
            memory_kib=placement.least_memory_kib(self._offers.values()) or None,
            slots=snapshot.Slots(slots, busy, self._busy_s / self._slot_s if self._slot_s else None),
            rate=rate,
            end=self._end(tasks, now, clock),
            nodes=nodes,
            others=others,
            longest=longest,
            reasons=reasons,
            other_failures=other_failures,
        )  # fmt: skip

    def _tasks(self, done_now: int, busy: int, state: str) -> snapshot.Tasks:
        done, failed = self._before + done_now, self._schedule.counts.failed
        left = max(0, self._total - done - failed)
        if state != snapshot.RUNNING:
            return snapshot.Tasks(self._total, done, failed, not_run=left)
        running = min(busy, left)
        return snapshot.Tasks(self._total, done, failed, running, left - running)

    def _run_now(self, state: str, now: float, clock: float, done: int) -> snapshot.Run:
        run, end = self._run, self._deadline.end
        job_end = None if end is None else clock + end - now
        ended = None if state == snapshot.RUNNING else clock
        return snapshot.Run(run.host, run.pid, run.job, run.started, ended, job_end, done, self._why)

    def _end(self, tasks: snapshot.Tasks, now: float, clock: float) -> snapshot.End:
        """Return when all will have ended."""
        end = self._pace.end(now) if tasks.running or tasks.waiting else None
        return snapshot.End(clock + end.low_s, clock + end.high_s, end.rough) if end else snapshot.End()

    def _look(self, workers: Sequence[Seen], done: int, now: float) -> float | None:
        """Count the time of the slots since the last look; return how many tasks were done in a second of late."""
        passed = now - self._looked
        self._looked = now
        slots, running = sum(worker.slots for worker in workers), sum(worker.running for worker in workers)
        self._slot_s += passed * (self._had + slots) / 2
        self._busy_s += passed * (self._ran + running) / 2
        self._had, self._ran = slots, running
        if now >= self._marks[-1][0] + _WINDOW_S:
            self._marks.append((now, done, [node.done for node in self._nodes]))
            if len(self._marks) > 2:
                self._marks.popleft()
        since, before, _ = self._marks[0]
        return (done - before) / (now - since) if now > since else None

    def _nodes_seen(self, workers: Sequence[Seen], now: float) -> list[snapshot.Node]:
        slots, busy, silent = ([0.0] * len(self._nodes) for _ in range(3))
        here = [False] * len(self._nodes)
        for worker in workers:
            place = self._of_rank[worker.rank]
            slots[place] += worker.slots
            busy[place] += worker.running
            silent[place] = min(silent[place], worker.silent_s) if here[place] else worker.silent_s
            here[place] = True
        since, _, before = self._marks[0]
        medians, slow = self._compared(now)
        return [
            snapshot.Node(
                node.name, int(slots[place]), int(busy[place]), node.done, node.failed,
                (node.done - (before[place] if place < len(before) else 0)) / (now - since)
                if here[place] and now > since else None,
                _known(medians[place]), round(silent[place], 3) if here[place] else None, slow[place], node.note, node.at,
            )
            for place, node in enumerate(self._nodes)
        ]  # fmt: skip

    def _compared(self, now: float) -> tuple[list[float], list[float]]:
        """Return the median run time of each node, and by which factor it is slower than the others."""
        if now >= self._medians_at + (EVERY_S if len(self._nodes) <= crowd.MOST_NODES else 5 * EVERY_S):
            self._medians_at = now
            self._medians = self._tally.medians(_LEAST_DONE)
        medians = self._medians + [math.nan] * (len(self._nodes) - len(self._medians))
        return medians, slowness.factors(medians[: len(self._nodes)])

    def _note(self, place: int, note: str) -> None:
        self._nodes[place].note = note
        self._nodes[place].at = time.time() if note else None


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _times(seconds: Histogram) -> snapshot.Times:
    median, p95 = _known(seconds.quantile(0.5)), _known(seconds.quantile(0.95))
    return snapshot.Times(seconds.count, median, p95, seconds.largest if seconds.count else None)


def _memory(rss_kib: Histogram) -> snapshot.Memory:
    return snapshot.Memory(_known(rss_kib.quantile(0.5)), rss_kib.largest if rss_kib.count else None)
