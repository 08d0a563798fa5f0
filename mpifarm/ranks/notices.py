"""What people hear of a farm: on standard error, with --quiet only of what is not well, and in the log what lasts.

How it is put stands in `status` and `bar`; here is when it is said, and how often. Nothing is decided.

What happens to the run bears the time and a word: mpifarm 14:07:02 lost. Errors, and what somebody should do, begin with
`mpifarm: `. How far it is stands in a bar below it all, or, without one, in a line now and then.
"""

from __future__ import annotations

import os
import time
from collections import Counter

from mpifarm import __version__
from mpifarm.journal.journal import Journal
from mpifarm.journal.lines import Attempt
from mpifarm.journal.opening import Run
from mpifarm.ranks.deadline import Deadline
from mpifarm.ranks.pace import TICK_S, Pace
from mpifarm.ranks.suspicions import Suspicions
from mpifarm.schedule.answers import Counts
from mpifarm.schedule.quarantine import Fitness, Judged
from mpifarm.schedule.schedule import Schedule
from mpifarm.settings import Config
from mpifarm.site import terminal
from mpifarm.site.offer import Offer
from mpifarm.view import advice, bar, failures, live, status
from mpifarm.view.bar import Numbers
from mpifarm.view.facts import End, Room, Stop
from mpifarm.view.failures import Failure, More
from mpifarm.view.placement import memory_words, placement
from mpifarm.view.tally import Histogram

_MOST_TOLD = 3  # of tasks that leave processes behind, on standard error; the log has them all
_STALL_S = 5.0  # after which it is looked whether the reader of standard output takes anything
_RARELY_AFTER_S, _RARELY_S = 3600.0, 600.0
_WORD = 6  # letters: the texts stand below each other
_NO_WORD = " "  # for what is said again and again
_MOST_FRESH = 100


class Notices:
    """What is said in one run."""

    def __init__(
        self, config: Config, run: Run, journal: Journal, workers: int, pace: Pace, deadline: Deadline, now: float
    ) -> None:
        """*workers* are expected."""
        self._config = config
        self._journal = journal
        self._pace = pace
        self.max_fails = config.max_fails.words if config.max_fails else ""
        self.log = run.names.log
        self.total, self._before = run.scan.tasks, run.start.done_count
        self._expected = workers
        self._offers: dict[int, Offer] = {}
        self._left = 0  # tasks that have left processes behind
        self._taken = 0  # by the reader of standard output, in all, when that was last looked at
        self._stalled = False  # he has not taken anything since the time before
        self._suspicions = Suspicions()
        self._more = More()
        self._reasons = 0  # kinds of failures that were told
        self._failed_attempts = 0  # that were told, one by one or together
        self._began, self._deadline = now, deadline
        self._all_here = now
        self._tick_at, self._stall_at, self._report_at = now + TICK_S, now + _STALL_S, now + config.report_every_s
        self._too_long = False  # it was said that the job ends too early
        self._memory_told = self._memory_short = False  # it was said what tasks take of it, and that it is too much

    @property
    def left_before(self) -> int:
        """Tasks that earlier runs had not done."""
        return self.total - self._before

    def say(self, text: str, word: str = "") -> None:
        """Say it; *word*: what it is about, of what happens to the run."""
        if not self._config.quiet:
            self.warn(text, word)

    def warn(self, text: str, word: str = "") -> None:
        """Say it, --quiet or not."""
        self._journal.voice.say(text, f"{time.strftime('%H:%M:%S')} {word:{_WORD}}" if word else "")

    def hush(self) -> None:
        """It is all said: wait a moment for whoever has to read it."""
        self._journal.voice.end()

    def tell(self, text: str, word: str = "") -> None:
        """Say it, and keep it in the log."""
        self._journal.event(text)
        self.say(text, word)

    def alarm(self, text: str) -> None:
        """Say it, --quiet or not, and keep it in the log."""
        self._journal.event(text)
        self.warn(text)

    def joined(self, rank: int, offer: Offer, now: float) -> None:
        """A worker has come; when all have, tell who works where."""
        if rank in self._offers:
            self.tell(f"worker {rank} on {offer.node} is back", "back")
            return
        self._offers[rank] = offer
        if len(self._offers) == self._expected:
            first, *more = placement(self._offers, self._config)
            job = f", job {self._config.job.id}" if self._config.job else ""
            words = (first, memory_words(self._offers.values()), f"mpifarm {__version__}{job}")
            self._journal.event(f"started: {', '.join(filter(None, words))}")
            self.say(first + self._circumstances(offer, now), "start")
            for notice in more:
                self.say(notice)

    def _circumstances(self, last: Offer, now: float) -> str:
        """Return what there is to say of a start: the job, its end, and who was *last*."""
        words = []
        end = self._deadline.end
        ends = f"ends {bar.clock(time.time() + end - now, time.time())}" if end is not None else ""
        if self._config.job:
            words.append(f"job {self._config.job.id} {ends}".rstrip())
        elif ends:
            words.append(f"the job {ends}")
        if self._expected > 1:
            words.append(f"all up after {now - self._began:.1f} s (last: {last.node})")
        return "".join(f"; {word}" for word in words)

    def left_behind(self, attempt: Attempt, place: str) -> None:
        """A task, which stands at *place*, has ended with 0, and some of it goes on, nobody will know to what end."""
        self._left += 1
        text = status.left_behind(attempt, place)
        self._journal.event(text)
        if self._left <= _MOST_TOLD:
            self.say(text)
        elif self._left == _MOST_TOLD + 1:
            self.say(f"more tasks leave processes running in the background: {self.log} names them")

    def judged(self, judged: Judged) -> None:
        """It has changed what is thought of a node: the log has it, and who reads along if it lasts."""
        text = status.judgement(judged)
        self._journal.event(text)
        if self._suspicions.take(judged, self._pace.ticked):
            self.say(text, "back" if judged.fitness is Fitness.FIT else "sick")

    # failures

    @property
    def wants_more(self) -> bool:
        """Whether failures are looked at."""
        return self._more.looked_at < failures.MOST_LOOKED_AT

    def failed(self, text: str, reasons: int) -> None:
        """The first one of a kind has failed, the *reasons*-th."""
        self._reasons = reasons
        self._failed_attempts += 1
        self.say(text, "failed")

    def more(self, one: Failure) -> None:
        """One has failed of a kind that was told, or there are too many kinds."""
        self._more.add(one)

    def _tell_more(self, failed_attempts: int) -> None:
        """Say what has failed since the last time."""
        if text := self._more.take(failed_attempts - self._failed_attempts, self.log):
            self._failed_attempts = failed_attempts
            self.say(text, "failed")

    # how far it is

    def status(self, schedule: Schedule, rss_kib: Histogram, now: float) -> None:
        """Say now and then how far the run is: to be called at every turn. *rss_kib*: peak memory of its tasks."""
        self._pace.turn(now)
        if now < self._tick_at:
            return
        self._tick_at = now + TICK_S
        self._pace.tick(now)
        for judged in self._suspicions.due(now):
            self.say(status.judgement(judged), "sick")
        if now >= self._stall_at:
            self._stall_at = now + _STALL_S
            self._look_at_reader()
        is_due = now >= self._report_at
        if is_due:
            every_s = self._config.report_every_s
            self._report_at = now + (every_s if now - self._began < _RARELY_AFTER_S else max(every_s, _RARELY_S))
            self._tell_more(schedule.counts.failed_attempts)
            self._tell_memory(rss_kib)
        if self._config.quiet or not (is_due or self._config.bar):
            return
        numbers = self._pace.numbers(self.total, self._before, len(self._journal.output.unread), now)
        self._foresee(numbers)
        if self._config.bar:
            self._journal.voice.bar(bar.bar(numbers, terminal.columns()))
        else:
            self.say(bar.line(numbers), "tail" if numbers.is_tail else _NO_WORD)

    def _tell_memory(self, rss_kib: Histogram) -> None:
        """Say what tasks take of the memory of their node: once, and once more when that is too much."""
        slots: Counter[str] = Counter()
        for offer in self._offers.values():
            slots[offer.node] += offer.slots
        rooms = [
            Room(offer.memory_kib, slots[offer.node], offer.usable_cpus, rss_kib.count, int(rss_kib.largest))
            for offer in self._offers.values()
        ]
        if not rooms:
            return
        room = min(rooms, key=lambda room: room.node_kib / room.slots)
        fit = live.fitting(room)
        if fit is None:
            return
        is_short = fit < room.slots
        if not self._memory_told or is_short > self._memory_short:
            self._memory_told, self._memory_short = True, is_short
            self.say(status.memory(room, fit), "memory")

    def _foresee(self, numbers: Numbers) -> None:
        """Say, once, that the job ends too early."""
        if not numbers.left_over or self._too_long or numbers.end is None or numbers.end.rough:
            return
        self._too_long = True
        began = numbers.at - (self._pace.ticked - self._began)
        nodes = len({offer.node for offer in self._offers.values()})
        self.tell(bar.too_long(numbers, began, nodes, in_job=self._config.job is not None), "limit")

    def _look_at_reader(self) -> None:
        """Say it, once, when the reader of standard output stops reading."""
        waiting, taken = len(self._journal.output.unread), self._journal.output.taken
        stalled = self._journal.output.waits and taken == self._taken
        if stalled and not self._stalled:
            self.tell(status.unread_yet(waiting))
        self._stalled, self._taken = stalled, taken

    # the end

    def end(self, counts: Counts, stop: Stop, by: str, longest_s: float, now: float) -> End:
        """Return the facts of the end; *by* whom or what it was a *stop*, *longest_s* the longest that was interrupted."""
        offers, config = self._offers.values(), self._config
        nodes = {offer.node for offer in offers}
        times = self._pace.times
        return End(
            name=config.tasklist,
            log=str(self.log),
            total=self.total,
            done=self._before + counts.done,
            failed=counts.failed,
            undecided=counts.undecided,
            stop=stop,
            by=by,
            program=config.typed.program,
            line=config.typed.line,
            once=config.typed.once,
            fresh=_fresh(),
            in_job=config.job is not None,
            ran_s=now - self._began,
            ended=times.ended,
            mean_s=times.mean_s,
            longest_s=max(longest_s, times.quantile_s(1.0) if times.ended else 0.0),
            nodes=len(nodes),
            idle_nodes=int(config.node not in nodes),
            slots=sum(offer.slots for offer in offers) // max(1, len(nodes)),
        )

    def verdict(self, end: End, counts: Counts, now: float) -> None:
        """Say how the run has ended, and what to do next; with --quiet, only if it is not all well."""
        self._pace.tick(now)
        self._tell_more(counts.failed_attempts)
        text = f"{status.ended(end, counts.done, self._reasons)}{self._spent(now)}"
        if end.stop is Stop.NOTHING and not end.failed:
            self.say(text, "end")
            return
        self.warn(text, "end")
        if told := advice.first(advice.AT_END, end):
            self.warn(told.why)
            self.warn(f"next: {told.line}")

    def note_end(self, end: End) -> None:
        """Keep in the log how a run has ended that has not tried all."""
        self._journal.event(f"ended: {status.ended(end, end.done - self._before, self._reasons)}")

    def giving_up(self, counts: Counts) -> None:
        """Say that nothing more is started: too many tasks have failed."""
        self.tell(status.giving_up(self.max_fails, counts))

    def _spent(self, now: float) -> str:
        """Return what the run has cost."""
        words = f"; slots {self._pace.busy:.0%} busy".replace("%", " %") if self._pace.slots_s else ""
        elapsed_s = now - self._began
        if elapsed_s < 60:
            return words
        job = self._config.job
        nodes = {offer.node: offer.usable_cpus for offer in self._offers.values()}
        cpus = job.nodes * job.cpus if job and job.cpus else sum(nodes.values())
        asked, used = cpus * elapsed_s / 3600, self._pace.used_cpu_s / 3600
        return f"{words}; {asked:.3g} core-hours asked, {used:.3g} used"


def _fresh() -> str:
    """Return a name for a list of what is not done that nothing here has."""
    names = ("again.txt", *(f"again-{number}.txt" for number in range(2, _MOST_FRESH)))
    return next((name for name in names if not os.path.lexists(name)), f"again-{os.getpid()}.txt")
