"""mpifarm: a task farm on MPI. A text file of shell commands in, every one of them done exactly once out."""

import os  # like sys, imported by Python itself before it looks for us
import sys


def _leave_working_directory() -> str | None:
    """Take off sys.path the working directory that `python -m` has put there; return it. Why: see `entry`."""
    safe = getattr(sys.flags, "safe_path", sys.flags.isolated)  # -P came with Python 3.11
    if sys.argv[:1] != ["-m"] or safe or not sys.path:  # the script mpifarm, an import from elsewhere
        return None
    try:
        here = os.getcwd()
    except OSError:  # it was deleted, and so Python has not put it there
        return None
    return sys.path.pop(0) if sys.path[0] == here else None


dropped_directory = _leave_working_directory()

from contextlib import suppress  # noqa: E402

from mpifarm.outlet import Outlet  # noqa: E402

__version__ = "0.1.0"

_PATIENCE_S = 1.0  # of whoever says something, with who reads it


class FarmError(Exception):
    """Something that the user can mend: printed as one line on stderr, exit code 2, no traceback.

    The message says what is wrong, where, and what to do.
    """


class NodeError(FarmError):
    """The same, found on this node and perhaps on no other: so it is said on each."""


def say(text: object) -> None:
    """Tell the user something. A standard error that takes nothing, on a full disk say, or that nobody reads, stops nobody.

    Not by sys.stderr: what it could not write it keeps, and makes the exit code 120 in the end. It is one line, whatever a
    list is called.
    """
    say_all(f"mpifarm: {as_line(text)}\n")


def as_line(text: object) -> str:
    """Return *text* as one line, in which nothing does anything to a terminal, whatever a file is called that it names."""
    line = str(text)
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode("ascii") for c in line)


def say_all(text: str) -> None:
    """Print *text* on standard error, as far as it is taken within a moment."""
    with suppress(OSError):
        outlet = Outlet(2)
        try:
            outlet.write_within(text.encode(errors="backslashreplace"), _PATIENCE_S)
        finally:
            outlet.close(2)
