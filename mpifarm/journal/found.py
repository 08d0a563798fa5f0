"""What a start finds: the list, whose run it is, how far that has come. Here everything is read and checked.

The rule: to look touches nothing, so who finds something wrong says so, and all is as it was. Two ways on from here have
the files rewritten, as one step, for the list as it is now: `carry` and `repeat`. Behind either nothing of what was found
is true any more, and one looks again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mpifarm import FarmError
from mpifarm.journal import carrying, claim, identity, repeating, resume, standing
from mpifarm.journal.claim import Output
from mpifarm.journal.fastrecovery import Checkpoint
from mpifarm.journal.identity import Identity
from mpifarm.journal.lock import Lock
from mpifarm.journal.names import Names, check_output
from mpifarm.journal.resume import Resume, Sources
from mpifarm.journal.warrant import Warrant
from mpifarm.launcher.frames import SHELL
from mpifarm.schedule.suspects import NOTHING, Dealt
from mpifarm.settings import Config
from mpifarm.tasks import lint
from mpifarm.tasks.check import Watch
from mpifarm.tasks.scan import Scan
from mpifarm.tasks.tasklist import Tasklist
from mpifarm.tasks.tfin import checksum
from mpifarm.words import count


@dataclass(frozen=True, slots=True)
class Held:
    """A list and its files, and the lock that says that they are ours."""

    tasklist: Tasklist
    names: Names
    lock: Lock
    output: Path | None  # the file given as --output


@dataclass(frozen=True, slots=True)
class Found:
    """A list as a start has found it."""

    config: Config
    held: Held
    warrant: Warrant  # that it is still ours, and as it was found
    scan: Scan
    watch: Watch  # what the scan has seen
    this: Identity  # what is recorded from now on
    last: Checkpoint | None  # what was recorded before
    output: Output
    is_finished: bool  # all tasks have succeeded, and the list is not to run again
    is_afresh: bool  # nothing of earlier runs counts
    notices: Sequence[str]

    @property
    def has_nothing_to_run(self) -> bool:
        """Whether the start ends here."""
        return self.is_finished and (self.config.again is None or not self.scan.tasks)

    @property
    def is_edited(self) -> bool:
        """Whether what is done has to be carried over to the list as it is now. Raises FarmError if that has no tasks."""
        if not self.config.edited or self.is_afresh or not any(claim.begun(self.held.names)):
            return False
        if not carrying.is_edited(self.scan):
            return False
        if not self.scan.tasks:
            path = self.held.tasklist.path
            raise FarmError(f"{path} has no tasks any more: restore it, or give --rerun to forget all that is done")
        return True

    def finished(self) -> str:
        """Return what to say of a list that is done. Raises FarmError if its output is not where it should be."""
        if not self.scan.tasks:
            return nothing(self.held.tasklist)
        if self.output.found is not None:
            unrecorded = self.last is None or self.last.identity is None
            self.output.check_finished(self._load(self.scan).output_bytes if unrecorded else 0)
        return standing.finished(self.held.tasklist.path, self.held.names, self.scan.tasks, self.output.recorded)

    def remarks(self) -> list[str]:
        """Return what to say of the words of the list. Raises FarmError if no shell can mean them."""
        lint.refuse_words(self.config, self.held.tasklist, self.watch, self.scan)
        return lint.remarks(self.config, self.held.tasklist, _is_dash(self.config))

    def carry(self) -> list[str]:
        """Let the files be about the list as it is now; return what to tell. Raises FarmError and OSError."""
        held = self.held
        with carrying.list_before(held.names, self.last, self.warrant.keep) as before:
            start = self._load(before, held.lock.found)
            self.output.check_resumed(start)
            self._check_shell()
            then = self.last.identity if self.last else None
            return self._files().carry(held.tasklist, before, self.scan, start, then.each if then else None)

    def repeat(self, named: str) -> list[str]:
        """Let the tasks that are *named* be not done; return what to tell. Raises FarmError and OSError."""
        start = self._resumed()
        self._check_shell()
        told = damage(self.held.names, start)
        files = self._files()
        return told + repeating.repeat(named, self.held.tasklist, self.scan, start, self.output, files, self.is_finished)

    def start(self) -> tuple[Resume, list[str]]:
        """Return where the list goes on, and what to tell of it. Raises FarmError if the options do not fit to that."""
        start = self._resumed()
        if not self.scan.tasks:
            return start, []
        if self.is_afresh:
            self.output.check_afresh()
            return start, []
        self.output.check_resumed(start)
        return start, self._check_shell()

    def _resumed(self) -> Resume:
        return Resume() if self.is_afresh else self._load(self.scan, self.held.lock.found)

    def _load(self, scan: Scan, dealt: Dealt = NOTHING) -> Resume:
        names = self.held.names
        recorded = names.fastrecovery if names.fastrecovery.exists() else names.done
        output = self.output.found if self.output.ours else None
        sources = Sources(recorded, names.progress, names.joblog, output)
        return resume.load(self.held.tasklist, scan, sources, self.last, dealt, self.warrant.keep)

    def _check_shell(self) -> list[str]:
        return claim.check_shell(self.last, self.this, given=self.config.shell is not None)

    def _files(self) -> carrying.Files:
        return carrying.Files(self.held.names, self.held.output, self.this, self.warrant, self.held.lock)


def look(config: Config, held: Held, told: Sequence[str]) -> Found:
    """Find out how a list stands; *told* is what people should hear first. Raises FarmError and OSError."""
    tasklist, names, lock = held.tasklist, held.names, held.lock
    watch = Watch(_is_dash(config))
    lint.refuse_encoding(tasklist)
    warrant = Warrant(lock, [names.progress, names.joblog, names.log, *([held.output] if held.output else [])])
    extent = (
        check_output(held.output, tasklist.path, names) if held.output else None
    )  # before it was ours it may have grown
    scan = tasklist.scan(warrant.prove, watch.see)
    this = identity.of_this_run(config.tasklist, config.output, config.shell, config.each)
    last = claim.last_checkpoint(names, forgiving=config.rerun)
    notices = [*told, *claim.check_list(last, this, names, scan, warrant.keep)]
    claim.check_beside_the_list(tasklist.path, this, names, lock)
    if config.edited and scan.had_tfin and scan.differs_at is None:
        notices.append(f"{tasklist.path} has not changed since the last run: nothing is to be done for --edited")
    output = Output(config.output, extent, last, this, names)
    is_finished = not config.rerun and _is_finished(names, scan, last, warrant)
    is_afresh = config.rerun or resume.starts_over(last, names.progress)
    notices += claim.check_each(last, config.tasklist, config.each, is_afresh)
    return Found(config, held, warrant, scan, watch, this, last, output, is_finished, is_afresh, notices)


def nothing(tasklist: Tasklist) -> str:
    """Return what to say of a list that has no tasks."""
    return f"{tasklist.path} has no tasks: nothing to do"


def damage(names: Names, start: Resume) -> list[str]:
    """Return what to say of lines that do not count: whoever rewrites the files leaves them out."""
    if not start.bad:
        return []
    return [f"{names.progress} is damaged: {count(start.bad, 'line')} cannot count, and what that was about runs again"]


def _is_dash(config: Config) -> bool:
    return lint.is_dash(config.shell or SHELL)


def _is_finished(names: Names, scan: Scan, last: Checkpoint | None, warrant: Warrant) -> bool:
    """Return whether all tasks have succeeded. TaskFarmer never removes an old done file, and ours tells of which list."""
    if not names.done.exists() or names.fastrecovery.exists() or not scan.had_tfin or scan.differs_at is not None:
        return False
    if last is None:
        return True
    return last.offset == scan.size and last.list_crc == checksum(scan.descriptor, 0, scan.size, 0, warrant.keep)
