"""How far a run is, in one line: for a terminal, where it rewrites itself, and for a batch log.

Pure functions of the numbers. The rule: never 100 % before the last task has succeeded, nor 0 % after the first; an end is
said as surely as it is known; what is narrow loses words from the right. All of it is ASCII, so that it is as wide as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import localtime, strftime
from typing import NamedTuple

from mpifarm.view import advice
from mpifarm.view.estimate import End
from mpifarm.view.facts import Late
from mpifarm.words import count, duration

_WIDE, _NARROW = 80, 50  # columns: a long bar, a short one, none
_SOON_S = 100.0  # an end is so many seconds away, and not at a time of day
_A_DAY_S = 86_400


class Oldest(NamedTuple):
    """The task that has been running longest."""

    age_s: float
    node: str
    command: str  # fit to be shown


class Numbers(NamedTuple):
    """How far a run is. Moments are Unix times."""

    total: int
    done: int  # those of earlier runs, too
    now: int  # done by this run
    failed: int  # for good
    waiting: int
    running: int
    slots: int
    per_s: float
    at: float
    end: End | None = None
    job_end: float | None = None
    left_over: int = 0  # at the end of the job
    oldest: Oldest | None = None
    median_s: float = 0.0
    measured: int = 0  # run times that the median is of

    @property
    def is_tail(self) -> bool:
        """Whether slots are idle since nothing waits any more."""
        return not self.waiting and 0 < self.running < self.slots


def percent(done: int, total: int) -> int:
    """Return which share is done, in percent."""
    if not total or done >= total:
        return 100
    return min(99, max(1, 100 * done // total)) if done else 0


def bar(numbers: Numbers, width: int) -> str:
    """Return a line for a terminal of *width* columns: at most one less, so that it does not wrap."""
    share = percent(numbers.done, numbers.total)
    words = [f"{share:3d} %"]
    if width >= _NARROW:
        length = 20 if width >= _WIDE else 10
        full = length * share // 100
        words.append("[" + ("=" * (full - 1) + ">" if 0 < full < length else "=" * full).ljust(length) + "]")
    words += [f"{numbers.done:,}/{numbers.total:,}", f"{numbers.failed:,} failed", _busy(numbers)]
    words += (
        [f"tail: {_oldest(numbers.oldest)}"] if numbers.is_tail and numbers.oldest else [*_end(numbers), _rate(numbers)]
    )
    return _fitting(list(filter(None, words)), width - 1)


def line(numbers: Numbers) -> str:
    """Return a line for a batch log."""
    if numbers.is_tail:
        idle = f"{count(numbers.slots - numbers.running, 'slot')} idle"
        words = [f"{numbers.done:,}/{numbers.total:,} done", f"{numbers.running:,} running, {idle}"]
        return "  ".join([*words, f"oldest {_oldest(numbers.oldest)}"] if numbers.oldest else words)
    earlier = f" ({numbers.now:,} now)" if numbers.now < numbers.done else ""
    words = [f"{percent(numbers.done, numbers.total):3d} %  {numbers.done:,} done{earlier}", f"{numbers.failed:,} failed"]
    words += [_busy(numbers), _rate(numbers), *_end(numbers)]
    if numbers.measured:
        median = f"{numbers.median_s:.2g} s" if numbers.median_s < 10 else duration(numbers.median_s)
        words.append(f"(median {median} of {numbers.measured:,})")
    return "  ".join(filter(None, words))


def too_long(numbers: Numbers, began: float, nodes: int, in_job: bool) -> str:
    """Return what is to be said when the job will end before the tasks; nothing if it will not.

    The run *began* then, on so many *nodes*; *in_job*: of Slurm.
    """
    if numbers.end is None or numbers.job_end is None:
        return ""
    ends = f"the job ends {clock(numbers.job_end, numbers.at)}, the last task {end_words(numbers.end, numbers.at)}"
    late = Late(
        told=f"{ends}: ~{_rounded(numbers.left_over):,} left over for the next start",
        needed_s=numbers.at + numbers.end.high_s - began,
        last_s=numbers.end.high_s,
        job_s=numbers.job_end - numbers.at,
        waiting=numbers.waiting,
        slots=numbers.slots,
        nodes=nodes,
        in_job=in_job,
    )
    return "".join(one.said for one in advice.advise(advice.NEAR_THE_LIMIT, late))


def clock(at: float, seen_from: float) -> str:
    """Return a moment as a time of day, with the day if that is another one."""
    return strftime("%H:%M" if at - seen_from < _A_DAY_S / 2 else "%a %H:%M", localtime(at))


def end_words(end: End, at: float) -> str:
    """Return when all will have ended: a range, or about when, if that is rough."""
    if end.rough:
        likely = duration(end.likely_s) if end.likely_s < _SOON_S else clock(at + end.likely_s, at)
        return f"~{likely} (rough)" if end.likely_s >= _SOON_S else f"in ~{likely} (rough)"
    if end.high_s < _SOON_S:
        low, high = round(end.low_s), round(end.high_s)
        return f"in {low}-{high} s" if low < high else f"in {high} s"
    low_at, high_at = (clock(at + seconds, at) for seconds in (end.low_s, end.high_s))
    return low_at if low_at == high_at else f"{low_at}-{high_at}"


def _end(numbers: Numbers) -> Sequence[str]:
    if not numbers.end:
        return []
    words = f"end {end_words(numbers.end, numbers.at)}"
    if numbers.job_end is None:
        return [words]
    ends = clock(numbers.job_end, numbers.at)
    if numbers.left_over:
        return [f"{words}, JOB ENDS {ends}: ~{_rounded(numbers.left_over):,} left over"]
    return [f"{words} (job {ends})"]


def _rounded(tasks: int) -> int:
    """Return an estimate with two digits."""
    unit = int(10 ** max(0, len(str(tasks)) - 2))
    return unit * ((tasks + unit // 2) // unit)


def _busy(numbers: Numbers) -> str:
    return f"{numbers.running:,}/{numbers.slots:,} busy"


def _rate(numbers: Numbers) -> str:
    if not numbers.per_s:
        return ""
    if numbers.per_s >= 0.95:
        return f"{numbers.per_s:,.0f}/s"
    return f"{60 * numbers.per_s:.2g}/min" if numbers.per_s >= 0.01 else f"{3600 * numbers.per_s:.2g}/h"


def _oldest(oldest: Oldest | None) -> str:
    if oldest is None:
        return ""
    words = f"{duration(oldest.age_s)} {oldest.node} {oldest.command}"
    return words.encode("ascii", "replace").decode()


def _fitting(words: Sequence[str], width: int) -> str:
    text = "  ".join(words)
    if len(text) <= width:
        return text
    if words[-1].startswith("tail: ") and len("  ".join(words[:-1])) + 24 <= width:
        return text[:width]
    return _fitting(words[:-1], width) if len(words) > 1 else text[: max(0, width)]
