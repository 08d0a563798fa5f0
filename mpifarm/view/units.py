"""Numbers and times as people read them. The rule: what is said of an amount has the digits that matter, and its unit."""

from __future__ import annotations

import math
from time import localtime, strftime

from mpifarm import words
from mpifarm.words import duration

_POWERS = (" KiB", " MiB", " GiB", " TiB")


def number(count: float) -> str:
    """Return a count with its thousands told apart: 9,788."""
    return f"{count:,.0f}"


def counted(count: int, noun: str, plural: str = "s") -> str:
    """Return a count with its noun: 1 task, 9,788 tasks."""
    return f"{number(count)} {words.noun_of(count, noun, plural)}"


def time(seconds: float) -> str:
    """Return a time: 0.004 s, 2.1 s, 45 s, 12 min."""
    if math.isnan(seconds):
        return "-"
    if seconds < 0.1:
        return f"{seconds:.3f} s"
    return f"{seconds:.2g} s" if seconds < 9.95 else duration(seconds)


def time_edge(seconds: float) -> str:
    """Return where a bin of run times begins or ends, so that no two bins look alike: 0.0016 s, 3.98 s, 158 s, 11.5 h."""
    amount, unit = next(
        ((seconds / size, unit) for size, unit in ((86400, "d"), (3600, "h")) if seconds >= 10 * size), (seconds, "s")
    )
    return f"{_three_digits(amount)} {unit}"


def elapsed(seconds: float, last_s: float) -> str:
    """Return a moment of a span that ends at *last_s*, so that each looks different: 0.25 s, 42 s, 1:31, 26:03:00."""
    if last_s < 100:
        return f"{_three_digits(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if last_s >= 3600 else f"{minutes}:{rest:02d}"


def memory(kib: float) -> str:
    """Return an amount of memory: 640 KiB, 15 MiB, 1.9 GiB."""
    if math.isnan(kib):
        return "-"
    power = min(3, int(math.log(max(kib, 1) * 1.024, 1024)))  # 1000 MiB is 0.98 GiB
    amount = kib / 1024**power
    return (f"{amount:.2g}" if amount < 9.95 else f"{amount:.0f}") + _POWERS[power]


def memory_edge(kib: float) -> str:
    """Return where a bin of peak memory begins or ends, so that no two bins look alike: 15.3 MiB, 1.87 GiB."""
    power = min(3, int(math.log(max(kib, 1) * 1.024, 1024)))
    return _three_digits(kib / 1024**power) + _POWERS[power]


def percent(share: float) -> str:
    """Return a share, 0 to 1: never 100 % of what is not all, nor 0 % of what is something."""
    if 0 < share < 0.001:
        return "<0.1 %"
    if 0.999 < share < 1:
        return ">99.9 %"
    return f"{100 * share:.0f} %" if share in (0, 1) else f"{100 * share:.1f} %"


def hours(seconds: float) -> str:
    """Return an amount of core-hours or slot-hours, without the unit."""
    amount = seconds / 3600
    if 0 < amount < 0.01:
        return "<0.01"
    return f"{amount:.2g}" if amount < 9.95 else f"{amount:,.0f}"


def limit(seconds: float) -> str:
    """Return a limit as sbatch -t takes it: HH:MM:SS, or D-HH:MM:SS."""
    minutes = math.ceil(seconds / 60)
    days, minutes = divmod(minutes, 24 * 60)
    clock = f"{minutes // 60:02d}:{minutes % 60:02d}:00"
    return f"{days}-{clock}" if days else clock


def clock(at: float) -> str:
    """Return a Unix time as one of the day, here."""
    try:
        return strftime("%Y-%m-%d %H:%M:%S", localtime(at))
    except (OverflowError, ValueError, OSError):
        return "at no time"


def _three_digits(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 99.95 else f"{float(f'{amount:.3g}'):g}"
