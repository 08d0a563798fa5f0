"""`--status`: where the run of a list stands, once, or again and again with --watch; as lines or as a document.

The rule: nothing is asked of the farm and nothing is written but what is printed, so it can be called from any node, as
often as one likes. Whoever stops reading (`| head`) ends it, without a word.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mpifarm.journal import identity
from mpifarm.journal.names import Names
from mpifarm.view import board, lines, situation
from mpifarm.view.situation import Situation

WATCH_S = 2.0

_TO_THE_TOP = "\x1b[H\x1b[J"  # of the terminal, and clear it


def answer(tasklist: str, *, as_json: bool, watch: bool) -> int:
    """Print where *tasklist* stands; return the exit code. Raises FarmError if there is no run of it here."""
    found = situation.read(Path(tasklist))
    try:
        _print(_text(found, Path(tasklist), as_json))
        while watch:
            time.sleep(WATCH_S)
            found = situation.read(Path(tasklist))
            clear = _TO_THE_TOP if not as_json and sys.stdout.isatty() else ""
            _print(clear + _text(found, Path(tasklist), as_json))
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        with suppress(OSError):  # or Python says at its end that it could not flush
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return found.code


def _text(found: Situation, tasklist: Path, as_json: bool) -> str:
    seen = found.seen
    if as_json:
        return seen.text().decode()
    named = [one.seq for one in seen.longest] + [seq for one in seen.reasons for seq in one.seqs]
    told = board.drawn(found, _lines(tasklist, named) if named else {}, time.time())
    return "".join(f"{line}\n" for line in told)


def _lines(tasklist: Path, seqs: Sequence[int]) -> dict[int, int]:
    """Return the lines of the list that tasks stand in; none if nobody can tell whether it was made of arguments."""
    names = Names(Path(tasklist.name + ".tfin"))
    try:
        run = identity.recorded(names.fastrecovery, names.done)
    except OSError:
        return {}
    return lines.of(tasklist, seqs, run.each if run else None)


def _print(text: str) -> None:
    sys.stdout.buffer.write(text.encode(errors="backslashreplace"))
    sys.stdout.flush()
