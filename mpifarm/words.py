"""How a number of things is put to people: 1 task, 2 tasks. Its rule: whatever is said of a number may be said of one."""

from __future__ import annotations


def count(number: int, noun: str, plural: str = "s") -> str:
    """Return *number* and what is counted; *plural* is what *noun* ends in if there are several."""
    return f"{number} {noun_of(number, noun, plural)}"


def noun_of(number: int, noun: str, plural: str = "s") -> str:
    """Return *noun* as it stands behind *number*; *plural* is what it ends in if there are several."""
    return noun if number == 1 else noun + plural


def counted(number: int, noun: str) -> str:
    """Return *number*, what is counted, and the verb: 1 task is, 2 tasks are."""
    return f"{count(number, noun)} {'is' if number == 1 else 'are'}"


def done_of(done: int, total: int) -> str:
    """Return how many of all tasks are done, as the beginning of a sentence."""
    return f"{done} of {count(total, 'task')} {'is' if 1 in (done, total) else 'are'} done"


def duration(seconds: float) -> str:
    """Return a time as people say it: 45 s, 12 min, 3 h 20 min, 2 d 4 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"
