"""Is what lies here of an earlier run this run's to go on with, and the file given as --output its own?

The rule: nothing is continued, cut or removed that the records of this list do not say is theirs. Where two readings are
possible the start is refused, and both ways on are named.

The records are the words of fastrecovery, or of the done file: see `identity`. The thinking:
1. Files are named after the list's name, so another list of that name would take them for its own; and a run that was begun
   elsewhere, mostly beside the list, would be begun again from zero here.
2. --output is a whole only if every run of the list had it, and the same one. Its name alone proves nothing: the records
   tell how much of it was theirs, and how that ended. So a file that was moved is known again, and one that somebody else
   has written under that name is not cut.
3. TaskFarmer has no such file and writes no words, and the words may have been deleted. Then the sum of progress's fourth
   fields has to be the size of the file, to the byte.
4. A list that is done is as good as its --output: "done" and exit code 0 where that is not whole would be a wrong result.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mpifarm import FarmError, files
from mpifarm.journal import fastrecovery, identity, tails
from mpifarm.journal.fastrecovery import Checkpoint, Covered
from mpifarm.journal.identity import Identity
from mpifarm.journal.lock import Lock
from mpifarm.journal.names import Names
from mpifarm.journal.progress import Between
from mpifarm.journal.resume import Resume
from mpifarm.journal.tails import Extent
from mpifarm.settings import Each
from mpifarm.tasks import wording
from mpifarm.tasks.scan import Scan
from mpifarm.tasks.tfin import checksum
from mpifarm.words import count, counted


def last_checkpoint(names: Names, forgiving: bool = False) -> Checkpoint | None:
    """Return what was recorded last, in fastrecovery or the done file. Raises FarmError unless *forgiving* damage."""
    try:
        return fastrecovery.read(names.fastrecovery) or fastrecovery.read_done(names.done)
    except FarmError:
        if forgiving:
            return None
        raise


# which list


def check_list(last: Checkpoint | None, now: Identity, names: Names, scan: Scan, between: Between) -> list[str]:
    """Return what the user should know about whose the files here are. Raises FarmError if they are another list's."""
    then = last.identity if last else None
    if last is None or then is None or then.same_list(now):
        return []
    if not os.path.lexists(then.tasklist) and _begins_alike(last, scan, between):
        return [f"{now.tasklist} was {then.tasklist} when it was begun: going on with it"]
    raise FarmError(
        f"{names.progress} and the files with it are of another list, {then.tasklist}, not of {now.tasklist}:"
        " start in another directory, rename this list, or remove those files by hand"
    )


def check_range(tasklist: str, each: Each | None) -> None:
    """Raise FarmError if *tasklist* is no file, but what a run over a range is called, and it is not started as that."""
    if each or os.path.lexists(tasklist):
        return
    names = Names(Path(f"{Path(tasklist).name}.tfin"))
    try:
        then = identity.recorded(names.fastrecovery, names.done)
    except OSError as error:
        raise files.unreadable(error, tasklist) from None
    if then and then.each and then.each.elements:
        raise FarmError(
            f"{tasklist} is what a run is called here that was begun with {wording.option(then.each)} {then.each.elements}:"
            " to go on with it give that line again"
        )


def check_each(last: Checkpoint | None, tasklist: str, each: Each | None, is_afresh: bool) -> list[str]:
    """Return what the user should know of a list that begins anew with --each, or without, and was the other way before.

    Raises FarmError if it would be gone on with so: what is done of commands says nothing of arguments.
    """
    then = last.identity if last else None
    if then is None or (then.each is None) == (each is None):
        return []
    if then.each and is_afresh:
        return [f"{tasklist} was begun with {wording.option(then.each)}: its lines run as commands now"]
    if is_afresh:
        return [f"{tasklist} was begun without --each, as a list of commands: its lines are arguments now"]
    if then.each:
        raise FarmError(
            f"{tasklist} was begun with {wording.option(then.each)}, and without it its lines would be run as commands:"
            " give it again to go on, or --rerun to forget that run and run the lines as commands"
        )
    raise FarmError(
        f"{tasklist} was begun without --each, as a list of commands, and its lines would be arguments now:"
        " leave --each out to go on, or give --rerun to forget that run and begin with --each"
    )


def check_beside_the_list(tasklist: Path, now: Identity, names: Names, lock: Lock) -> None:
    """Raise FarmError if nothing was begun here, but a run of this list was beside it."""
    if any(begun(names)):
        return
    for path in (Path(os.path.abspath(tasklist)), Path(now.tasklist)):
        if path.parent.samefile(now.directory):
            continue
        there = Names(path.with_name(f"{path.name}.tfin"))
        last = _readable_checkpoint(there)
        then = last.identity if last else None
        if then and not then.same_list(Identity(str(path), str(path.parent), None)) and not then.same_list(now):
            continue
        holder = lock.others(there.lock)
        if holder or any(begun(there)):
            here = f"is being run by {holder} in" if holder else "was begun in"
            raise FarmError(
                f"{tasklist} {here} {path.parent}: start there to go on with it; to run it here as well, copy the list"
            )


def _begins_alike(last: Checkpoint, scan: Scan, between: Between) -> bool:
    return last.offset <= scan.size and checksum(scan.descriptor, 0, last.offset, 0, between) == last.list_crc


def begun(names: Names) -> Iterable[bool]:
    """Yield, file by file, whether there is what a run has left."""
    return (path.exists() for path in (names.progress, names.fastrecovery, names.done))


def _readable_checkpoint(names: Names) -> Checkpoint | None:
    try:
        return last_checkpoint(names, forgiving=True)
    except OSError:  # somebody else's
        return None


# which shell


def check_shell(last: Checkpoint | None, now: Identity, given: bool) -> list[str]:
    """Return what the user should know about the shell. Raises FarmError if it is another one, and not *given* so."""
    then = last.identity if last else None
    if then is None or then.shell == now.shell:
        return []
    if given:
        return [f"the tasks run with --shell {now.shell} from here on; earlier runs had {then.shell}"]
    raise FarmError(
        f"the earlier run used --shell {then.shell}: give it again, or --shell {now.shell} to go on with that one"
    )


# which output


@dataclass(frozen=True, slots=True)
class Output:
    """The file given as --output, or that none was, held against what earlier runs have recorded."""

    given: str | None  # as the user writes it
    found: Extent | None  # what there is of it
    last: Checkpoint | None
    now: Identity
    names: Names

    @property
    def ours(self) -> bool:
        """Whether it is the file of the earlier runs: by its name or, if it was moved, by what stands in it."""
        then = self._then
        if self.found is None or then is None or then.output is None:
            return False
        if then.same_output(self.now):
            return not self._of_the_original(then)
        return self._covered.output > 0 and self._holds_its_part()

    def check_afresh(self) -> None:
        """Raise FarmError if a run that forgets the earlier ones would destroy what is not theirs."""
        if self.found and self.found.size and not (self.ours and self._holds_its_part()):
            raise FarmError(
                f"--output {self.given} is not empty, and it is not what earlier runs of this list have written:"
                " give another name, or remove the file"
            )

    def check_resumed(self, start: Resume) -> None:
        """Raise FarmError if what the tasks print could not all be in one file in the end."""
        then = self._then
        if self.found is None:
            if where := self._collected_in(start):
                raise FarmError(f"earlier runs had --output {where}: give it again, or --rerun to run the whole list again")
        elif self.ours:
            self._check_tail()
        elif not start.done_count:
            self.check_afresh()
        elif then and then.output:
            what = f"earlier runs had --output {then.output}, and {self.given} is not that file: give it again,"
            if then.same_output(self.now):
                what = f"this is a copy of {then.directory}, and --output {self.given} is that run's: start there,"
            raise FarmError(f"{what} or --rerun and the name of an empty file to run the whole list again")
        else:
            self._check_sum(start)

    def check_again(self, start: Resume) -> None:
        """Raise FarmError if what tasks print that run again would have to replace what they have printed before."""
        where = self.given or self._collected_in(start)
        if where:
            raise FarmError(
                f"--again would need new blocks in place of those in --output {where}, and that is only added to: put those"
                " lines into a list of their own, or give --rerun to run the whole list again"
            )

    def check_finished(self, collected: int) -> None:
        """Raise FarmError if the list is done and its output is not all in the file.

        *collected*: bytes that all of progress says were written to it.
        """
        if self.found is None:
            return
        then = self._then
        if then is None:
            whole = self.found.size == collected > 0
        else:
            exact = self.found.exists and self.found.size == self._covered.output
            whole = self.ours and exact and self._holds_its_part()
        if not whole:
            what = "was done without --output, so what it printed is in no file"
            if collected or (then and then.output):
                size = collected or self._covered.output
                what = f"is done, and {self.given} is not the file of {count(size, 'byte')} that its runs had as --output"
                what += f", {then.output}: restore that one" if then else ": give that one"
            raise FarmError(
                f"the list {what}; leave --output out, or run it again with --rerun and the name of an empty file"
            )

    @property
    def recorded(self) -> str | None:
        """The file of the earlier runs."""
        return self._then.output if self._then else None

    @property
    def _then(self) -> Identity | None:
        return self.last.identity if self.last else None

    @property
    def _covered(self) -> Covered:
        return (self.last and self.last.covered) or Covered()

    def _holds_its_part(self) -> bool:
        """Return whether it begins with what the last checkpoint stands for, as far as its end tells."""
        covered = self._covered
        assert self.now.output and self.found
        if not covered.output:
            return True
        return self.found.size >= covered.output and tails.tail(Path(self.now.output), covered.output) == covered.tail

    def _of_the_original(self, then: Identity) -> bool:
        """Return whether this directory is a copy of one that still has the run, and the file outside is that one's."""
        here, there = Path(self.now.directory), Path(then.directory)
        assert self.now.output
        if here == there or os.path.relpath(self.now.output, here) == os.path.relpath(then.output or "", there):
            return False
        return there.is_dir() and not here.samefile(there) and any(begun(Names(there / self.names.tfin.name)))

    def _collected_in(self, start: Resume) -> str | None:
        """Return where the earlier runs have written what their tasks printed; nothing if they had no file for it."""
        if self._then:
            return self._then.output
        # Without words a single line could be damaged; TaskFarmer's say 0, and it has no joblog.
        if start.output_bytes and (self.last is None or self.names.joblog.exists()):
            return f"(a file of {count(start.output_bytes, 'byte')})"
        return None

    def _check_tail(self) -> None:
        assert self.found
        if self.found.size >= self._covered.output and not self._holds_its_part():
            raise FarmError(
                f"--output {self.given} has changed since this list's runs wrote it: restore it,"
                " or give --rerun and the name of an empty file"
            )

    def _check_sum(self, start: Resume) -> None:
        """Some tasks are done, and nothing tells which file their output is in: it may be this one."""
        assert self.found
        size, wrote = self.found.size, start.output_bytes
        untold = self.last is None or (self.last.covered is not None and self.last.identity is None)
        if not untold or not wrote:
            raise FarmError(
                f"{counted(start.done_count, 'task')} done without --output: what was printed would not be in {self.given}:"
                " go on without it, or give --rerun to run the whole list again"
            )
        if wrote != size:
            raise FarmError(
                f"--output {self.given} has {count(size, 'byte')}, and the tasks that are done wrote {wrote}:"
                " give the file of the earlier runs as they left it, or --rerun and the name of an empty file"
            )
