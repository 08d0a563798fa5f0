"""What is done, carried over to a list that was edited; or the same list, of which something is to be done once more.

The rule: what earlier runs have left is read as if the list had never been touched, with every check of a plain start. What
that says is written anew for the list as it is now (`rewriting`), all files as one `step`, and then the start begins once
more, as that of a list that nobody has edited. So nothing behind this has to know of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mpifarm import FarmError, files
from mpifarm.journal import rewriting, step
from mpifarm.journal.fastrecovery import Checkpoint
from mpifarm.journal.identity import Identity
from mpifarm.journal.lock import Lock
from mpifarm.journal.names import Names
from mpifarm.journal.resume import Resume
from mpifarm.journal.rewriting import Between, Gone, Numbers, Passage
from mpifarm.journal.step import Step
from mpifarm.journal.warrant import Warrant
from mpifarm.settings import Each
from mpifarm.tasks import changes, edits, wording
from mpifarm.tasks.scan import Scan, scan_of
from mpifarm.tasks.tasklist import Tasklist
from mpifarm.tasks.tfin import checksum
from mpifarm.words import count

_MOST_SHOWN = 50  # of the tasks that are gone


def is_edited(scan: Scan) -> bool:
    """Return whether the list is another one than that of the last run: more than that it has grown."""
    return scan.had_tfin and scan.differs_at is not None and scan.differs_at < scan.old_size


@contextmanager
def list_before(names: Names, last: Checkpoint | None, between: Between) -> Iterator[Scan]:
    """Yield the list of the last run, open. Raises FarmError unless it is the one that was dealt, and OSError."""
    with names.tfin.open("rb") as file:
        found = scan_of(file.fileno(), between)
        as_dealt = found is not None and (
            last is None
            or last.list_crc is None
            or (last.offset <= found.size and checksum(found.descriptor, 0, last.offset, 0, between) == last.list_crc)
        )
        if found is None or not as_dealt:
            raise FarmError(
                f"{names.tfin} is not the list of the last run any more, so nobody can tell what was edited:"
                " restore it, or give --rerun to run the whole list again"
            )
        yield found


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a list, in the hands of a start that has checked all of them, and touched nothing."""

    names: Names
    output: Path | None  # the file given as --output
    run: Identity  # what is recorded from now on
    warrant: Warrant
    lock: Lock

    def carry(self, tasklist: Tasklist, before: Scan, now: Scan, start: Resume, then: Each | None) -> list[str]:
        """Let them be about the list as it is *now*, and no more about the one *before*; return what to tell.

        *start* is where that one would be gone on with, *then* how it was made of arguments. Raises OSError: the next start
        knows how far this one has come.
        """
        kept = edits.compare(before.descriptor, before.size, now.descriptor, now.size, self.warrant.keep)

        def tell(gone: Gone) -> list[str]:
            changed = changes.find(tasklist, before.descriptor, before.size, kept, self.warrant.keep)
            what = "; ".join([*wording.another_each(then, tasklist.each), *wording.sentences(changed)])
            return [f"{tasklist.path} was edited since the last run: {what}", *_blocks_of_gone(gone, self.output)]

        return self._rewrite(Passage(before, now, start, kept), tell)

    def forget(self, scan: Scan, start: Resume, offsets: Numbers, told: list[str]) -> None:
        """Let the tasks at *offsets* (int64, sorted, unique) be not done; *told* is what people should hear of it.

        Their lines of progress go. What they have written to --output stays there, and fastrecovery stands for it. As with
        `carry`, the start begins once more behind this, and reads what is there now. Raises OSError.
        """
        passage = Passage(scan, scan, rewriting.undone(start, scan, offsets), rewriting.same_list(scan))
        self._rewrite(passage, lambda _: told)

    def _rewrite(self, passage: Passage, tell: Callable[[Gone], list[str]]) -> list[str]:
        prove, names = self.warrant.prove, self.names
        new = Step(names, prove)
        try:
            gone = rewriting.rewrite(names, passage, self.run, self.output, new, self.warrant.keep)
            if passage.old is not passage.new:
                new.take(files.new_name(names.tfin), names.tfin)
            told = tell(gone)
            self.warrant.confirm()
            new.intend(told)
        except OSError:
            with suppress(OSError):
                new.drop()
            raise
        step.finish(names, prove, self.warrant.keep, self.lock.forget)
        return told


def _blocks_of_gone(gone: Gone, output: Path | None) -> list[str]:
    """Return what to say of blocks that stay in --output although their tasks are gone."""
    if not gone.count or output is None:
        return []
    shown = ", ".join(map(str, sorted(gone.seqs)[:_MOST_SHOWN]))
    more = f", and {gone.count - _MOST_SHOWN} more" if gone.count > _MOST_SHOWN else ""
    blocks = count(gone.count, "block")
    return [f"--output {output} keeps {blocks} of what is gone: in the list before, task {shown}{more}"]
