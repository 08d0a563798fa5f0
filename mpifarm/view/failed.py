"""`--failed`: what is not done, as a task list: what has failed, what was interrupted, and what was never run.

The rule: what is not known to be done is in it, whatever has become of it, and nothing else is: the next start of the list
would run the same. The lines are those of the list, byte for byte, in its order, and so this list fed back is this list
again. Comments stay behind: which of them belong to which line nobody knows. One above a line may be the heading of all
that follow it, or a line that its owner has taken out; one at the top may be about all tasks or about the first; and none
of them means anything to a farm. To go on with comments and all, mend the list itself, and start it with --edited.

Lines that were appended to the list since its last start were never run, so they are in it. From a list that was edited,
or is gone, nothing is taken: what was dealt stands in its .tfin file, and that is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mpifarm import files, say
from mpifarm.journal import tails
from mpifarm.tasks import tfin
from mpifarm.tasks.offsets import among
from mpifarm.view import original, standing, stdout
from mpifarm.view.hand import Hand
from mpifarm.view.original import Original
from mpifarm.view.standing import Numbers, Standing
from mpifarm.words import count

_OPTION = "--failed"


def write(tasklist: str, quiet: bool) -> int:
    """Print the tasks of *tasklist* that are not done; return the exit code. Raises FarmError."""
    path = Path(tasklist)
    names = standing.names_of(path)
    stdout.refuse_own(_OPTION, [path, *names.all()])
    try:
        found = standing.read(path, names)
        there = original.read(path, names.tfin, found.each)
        left = found.offsets[~found.done]
        for notice in _notices(tasklist, found, there, left.size):
            if not quiet:
                say(notice)
        return stdout.put(_OPTION, _parts(names.tfin, left, there))
    except OSError as error:
        raise files.unreadable(error, tasklist, _OPTION) from None


def _notices(tasklist: str, found: Standing, there: Original, left: int) -> Iterator[str]:
    appended = f", {len(there.appended)} of them appended since its last start" if there.appended else ""
    left += len(there.appended)
    total = found.offsets.size + len(there.appended)
    if left:
        yield f"{tasklist}: {left} of {count(total, 'task')} {'is' if left == 1 else 'are'} not done{appended}"
    else:
        yield f"{tasklist}: all is done ({count(total, 'task')}): the list that is left is empty"
    if there.differs:
        yield f"{there.differs}: these are the lines as they were dealt"
    if left and found.each:
        yield "these are commands, as --each has made them: a list by themselves, which is run without --each"
    if left and found.hand is Hand.RUNNING:
        yield f"{tasklist} is being run by {found.holder}: what is printed may be running there: do not run it meanwhile"


def _parts(dealt: Path, left: Numbers, there: Original) -> Iterator[bytes]:
    """Yield the lines of the tasks at *left*, many at a time, and what was appended."""
    with dealt.open("rb") as file:
        at, size = 0, tails.whole_lines(dealt)
        while left.size and (chunk := tfin.whole_records(file.fileno(), at, size)):
            records, _ = tfin.records_of(chunk, at, 1)
            wanted = records[among(records["offset"], left)]
            begins = (wanted["offset"] - at + len(tfin.MARK)).tolist()
            ends = (wanted["offset"] - at + wanted["length"]).tolist()
            if begins:
                yield b"".join([chunk[begin:end] for begin, end in zip(begins, ends, strict=True)])
            at += len(chunk)
    if there.appended:
        yield b"".join(record[len(tfin.MARK) :] for _, record in there.appended)
