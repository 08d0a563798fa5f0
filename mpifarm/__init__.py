"""mpifarm: a task farm on MPI. A text file of shell commands in, every one of them done exactly once out."""

__version__ = "0.1.0"


class FarmError(Exception):
    """Something that the user can mend: printed as one line on stderr, exit code 2, no traceback.

    The message says what is wrong, where, and what to do.
    """
