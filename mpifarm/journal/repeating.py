"""What its owner wants to run once more though it is done: --again.

The rule: it is said once, and it is one step. The tasks are not done any more, and then the start goes on as any other; so
who is interrupted goes on without --again, and who says it again runs again what is done by then. What it names is all
there, or nothing is touched. What of it is not done yet runs anyway.
"""

from __future__ import annotations

import os

from mpifarm import FarmError
from mpifarm.journal.carrying import Files
from mpifarm.journal.claim import Output
from mpifarm.journal.resume import Resume
from mpifarm.tasks import which
from mpifarm.tasks.numbering import Numbering
from mpifarm.tasks.offsets import among
from mpifarm.tasks.scan import Scan
from mpifarm.tasks.tasklist import Tasklist
from mpifarm.tasks.tfin import Records, command_of
from mpifarm.texts import shown
from mpifarm.words import count, done_of

_OPTION = "--again"
_SHOWN = 103  # characters of a command


def repeat(
    named: str, tasklist: Tasklist, scan: Scan, start: Resume, output: Output, kept: Files, finished: bool
) -> list[str]:
    """Let the tasks that are *named* be not done; return what to tell.

    *start* is where the list would be gone on with, *finished* whether there is a done file that says all is done. Raises
    FarmError if they cannot run once more, and OSError: the next start knows how far this one has come.
    """
    output.check_again(start)
    if finished and start.done_count < scan.tasks:
        names = kept.names
        raise FarmError(
            f"{names.done} says that all is done, and {names.progress} that {done_of(start.done_count, scan.tasks)}:"
            f" remove {names.done} to run the others, too, or give --rerun to run the whole list again"
        )
    chosen = which.select(named, _OPTION, tasklist.path, scan, kept.warrant.keep, tasklist.each is not None)
    done = chosen[(chosen["offset"] < start.offset) & ~among(chosen["offset"], start.again["offset"])]
    told = [_told(named, tasklist.numbering, scan, done, chosen.size - done.size)]
    if done.size:
        kept.forget(scan, start, done["offset"], told)
    return told


def _told(named: str, numbering: Numbering, scan: Scan, done: Records, left: int) -> str:
    if not done.size:
        return f"{_OPTION} {named}: nothing that it names was done yet, so all of it runs anyway"
    offset, length, seq = done[0].tolist()
    task = f"{numbering.name(seq)}: {shown(command_of(os.pread(scan.descriptor, length, offset)), _SHOWN)}"
    others = f" ({left} more that it names had not been done yet)" if left else ""
    if done.size == 1:
        return f"{_OPTION} {named}: 1 task that was done runs again{others}: {task}"
    return f"{_OPTION} {named}: {count(done.size, 'task')} that were done run again{others}, the first of them {task}"
