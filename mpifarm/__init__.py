"""mpifarm: a task farm on MPI. A text file of shell commands in, every one of them done exactly once out."""

import os
from contextlib import suppress

__version__ = "0.1.0"


class FarmError(Exception):
    """Something that the user can mend: printed as one line on stderr, exit code 2, no traceback.

    The message says what is wrong, where, and what to do.
    """


def say(text: object) -> None:
    """Tell the user something. A standard error that takes nothing, on a full disk say, stops nobody.

    Not by sys.stderr: what it could not write it keeps, and makes the exit code 120 in the end.
    """
    with suppress(OSError):
        os.write(2, f"mpifarm: {text}\n".encode(errors="backslashreplace"))
