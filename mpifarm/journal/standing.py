"""How a list stands when it is opened: what of that its owner may not expect.

The rule: who starts the same list again gets what he means, or is told why not. To go on is what he means after a limit or
a crash. In the loop of an iterative method he means to run all of it once more, and a start that has nothing to do looks
like one that did it.
"""

from __future__ import annotations

import time
from pathlib import Path

from mpifarm.journal.names import Names
from mpifarm.tasks.scan import Scan, position
from mpifarm.tasks.tasklist import Tasklist
from mpifarm.words import count, noun_of

_WHEN = "%Y-%m-%d %H:%M:%S"


def finished(path: Path, names: Names, tasks: int, output: str | None) -> str:
    """Return what to say of the list *path* that is done, all *tasks* of it, with what they printed in *output*."""
    when = time.strftime(_WHEN, time.localtime(names.done.stat().st_mtime))
    done = "its task was done" if tasks == 1 else f"all {tasks} tasks were done"
    ways = f"--rerun runs the list again (or delete {names.progress} and {names.done})"
    if output:
        ways = f"--rerun runs the list again (or delete {names.progress}, {names.done} and that file)"
        done += f", with {'its' if tasks == 1 else 'their'} output in {output},"
    elif tasks > 1:
        ways += ", --again WHICH some of it (3,17-20)"
    return f"{path}: nothing was run: {done} by {when}; {ways}; lines added at its end run by themselves"


def empty(tasklist: Tasklist, scan: Scan) -> str:
    """Return how many lines of a list of arguments are none, to follow how many tasks it has; nothing if all are."""
    end = position(scan, scan.size) if tasklist.each else None
    lines = end[0] - 1 - scan.tasks if end else 0
    return f"; {count(lines, 'empty line')}, no {noun_of(lines, 'task')}" if lines else ""


def more(scan: Scan) -> str:
    """Return by how many tasks a list has grown at its end, to follow how many it has; nothing if it has not."""
    if not scan.had_tfin or scan.differs_at != scan.old_size:
        return ""
    at = position(scan, scan.old_size)
    grown = scan.tasks - at[1] if at else 0
    return f"; {grown} more than when it was last run" if grown else ""
