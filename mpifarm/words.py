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
