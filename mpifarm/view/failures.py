"""Failed attempts in the words of people: of which kind one is, and what is said of the first ones.

Its rule: a command, and what it has printed, are anybody's text. Whatever of it is shown is one line, not long, and has no
character that does something to a terminal.

Attempts are of one kind if they have ended alike, and their last line on standard error is the same but for its digits: the
names of a thousand files that are missing make one kind.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mpifarm.journal.lines import Attempt, reason
from mpifarm.launcher.frames import SHELL
from mpifarm.words import duration

_LOOK_BYTES = 1024  # at the end of a standard error
_MOST_SHOWN = 160  # characters of a line
_DIGITS = re.compile(r"\d+")
_OURS = b"mpifarm: "  # at the start of a hint of `why`, behind what the task has printed

_ADVICE = {
    "exit code 127": "is the program there, and found, on every node?",
    "exit code 126": "may the program be executed, and is it built for these nodes?",
    "timed out": "is --timeout long enough?",
    "not started": f"can {SHELL} be started on every node?",
}
_OTHER_ADVICE = "try one of them by hand."


class Kind(NamedTuple):
    """What failures have in common."""

    how: str  # exit code 127, killed by SIGSEGV, timed out
    last: str  # their last line, with # for its digits


class Failure(NamedTuple):
    """An attempt that failed."""

    attempt: Attempt
    last: str  # line of its standard error, fit to be shown; empty if there is none

    @property
    def kind(self) -> Kind:
        return Kind(reason(self.attempt), _DIGITS.sub("#", self.last))


def failure(attempt: Attempt, err: memoryview) -> Failure:
    """Return what there is to say of an *attempt* that failed, with all that it has of standard error."""
    return Failure(attempt, shown(_last_line(bytes(err[-_LOOK_BYTES:]))))


def told(one: Failure, place: str) -> str:
    """Return what is said of a failure while the farm goes on; *place* is that of its task in the list."""
    attempt = one.attempt
    took = f"{attempt.seconds:.2f} s" if attempt.seconds < 10 else duration(attempt.seconds)
    said = f'"{one.last}": ' if one.last else ""
    how = f"{reason(attempt)} after {took}"
    return f"task {attempt.seq} ({place}) has failed on {attempt.node}, {how}: {said}{shown(attempt.command)}"


def all_alike(count: int, one: Failure, limit: str) -> str:
    """Return what is said if each of the first *count* attempts has failed as *one* has; *limit*: what --max-fails is."""
    how = reason(one.attempt)
    alike = f'{how}, "{one.last}"' if one.last else how
    advice = _ADVICE.get(how, _OTHER_ADVICE)
    by_itself = "--max-fails 0 would stop at the first task that has failed for good"
    stop = f"Stop (Ctrl-C, or scancel), mend that or the list, and start again; {by_itself}"
    if limit:
        stop = f"--max-fails {limit} will stop this run; mend that or the list, and start again"
    return f"ALL of the first {count} attempts have failed alike ({alike}): {advice} {stop}"


def shown(text: bytes) -> str:
    """Return *text*, or the beginning of it, without anything that a terminal would do something for."""
    line = text[: 4 * _MOST_SHOWN].decode(errors="backslashreplace").replace("\t", " ")
    if not line.isprintable():
        line = "".join(letter if letter.isprintable() else _escaped(letter) for letter in line)
    return line if len(line) <= _MOST_SHOWN and len(text) <= 4 * _MOST_SHOWN else f"{line[: _MOST_SHOWN - 3]}..."


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def _last_line(err: bytes) -> bytes:
    """Return the last line of *err* that is not blank, rather one of the task itself than a hint of ours behind it.

    A carriage return ends one, too: that is a progress bar.
    """
    rest, last = err.rstrip(), b""
    while rest:
        begins = 1 + max(rest.rfind(b"\n"), rest.rfind(b"\r"))
        line, rest = rest[begins:].strip(), rest[:begins].rstrip()
        if not line.startswith(_OURS):
            return line
        last = last or line
    return last
