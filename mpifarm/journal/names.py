"""The files of a list: what they are called, and whether they can be written.

The rule: all of them are looked at before the first is opened, and one that is not a file of the user's own, or that cannot
be written, is refused. A run that has begun may fail over a full disk, not over what could be seen at its start.
"""

from __future__ import annotations

import errno
import os
import pwd
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mpifarm import FarmError, files
from mpifarm.journal import acquisition, tails
from mpifarm.journal.tails import Extent
from mpifarm.words import count

_TFIN = "tfin"


@dataclass(frozen=True, slots=True)
class Names:
    """The files of a list, beside its .tfin file: in the working directory."""

    tfin: Path

    @property
    def progress(self) -> Path:
        return self.of("progress")

    @property
    def fastrecovery(self) -> Path:
        return self.of("fastrecovery")

    @property
    def log(self) -> Path:
        return self.of("log")

    @property
    def joblog(self) -> Path:
        return self.of("joblog")

    @property
    def done(self) -> Path:
        return self.of("done")

    @property
    def lock(self) -> Path:
        return self.of("lock")

    @property
    def intent(self) -> Path:
        return self.of("intent")

    @property
    def status(self) -> Path:
        return self.of("status")

    def all(self) -> list[Path]:
        """Return every file that belongs to the list."""
        told = [self.log, self.joblog, self.done, self.lock, self.intent, self.status]
        return [self.tfin, self.progress, self.fastrecovery, *told]

    def passing(self) -> list[Path]:
        """Return the names of what is there while one of the files is being replaced."""
        return [*map(files.new_name, self.all()), *map(due_name, self.all())]

    def of(self, kind: str) -> Path:
        """Return the file of this *kind*: `progress`, say, or `tfin`."""
        return self.tfin if kind == _TFIN else self.tfin.with_name(f"{kind}.{self.tfin.name}")

    def kind(self, path: Path) -> str:
        """Return of which kind one of the files is."""
        return _TFIN if path == self.tfin else path.name.partition(".")[0]


def due_name(path: Path) -> Path:
    """Return the name of what is due to take the place of *path*: see `step`."""
    return path.with_name(path.name + ".due")


def check_length(path: Path, names: Names) -> None:
    """Raise FarmError if the name of the list *path* is too long for those of its files, before one of them is made."""
    longest = max((file.name for file in names.passing()), key=_length)
    name = os.fsencode(path.name).decode(errors="backslashreplace")
    most, length = _longest_name(Path()), _length(longest)
    if length > most:
        too_long = f"a file beside it has a name of {length} bytes, and {most} is the most here"
        raise FarmError(f"{name}: the name is {count(length - most, 'byte')} too long ({too_long}): rename the list")
    here = Path(files.working_directory())
    for place, mend in ((here, "start in a directory"), (here / path.parent, "put the list into a directory")):
        over = _length(str(place / longest)) - _longest_path(Path())
        if over > 0:
            too_long = f"the path of a file that belongs to it would be {count(over, 'byte')} too long"
            raise FarmError(f"{name}: {too_long}: {mend} that has a shorter path")


def check_files(names: Names) -> None:
    """Raise FarmError if one of the files that are there cannot be written to, or should not be."""
    for path in names.all():
        try:
            files.own(path)
        except OSError as error:
            raise FarmError(f"{path}: {error.strerror}: remove it, or start in a directory of your own") from None
        if path.exists() and not (path.is_file() and os.access(path, os.W_OK)):
            raise FarmError(f"{path} {_why_not_written(path)}")


def check_read(names: Names) -> None:
    """Raise FarmError if one of the files is none that can be read: who opens a FIFO waits for ever. Raises OSError."""
    for path in names.all():
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(path.stat().st_mode):
                raise FarmError(f"{path} is not a regular file, so what this run has done cannot be told: remove it")


def check_output(path: Path, tasklist: Path, names: Names) -> Extent:
    """Return what there is of the file given as --output. Raises FarmError if it cannot be one."""
    try:
        target = files.own(path)
        found = path.resolve()
        locks = [name for pair in acquisition.places(names.lock) for name in pair]
        if any(_same(found, other) for other in (tasklist, *names.all(), *names.passing(), *locks)):
            raise FarmError(f"--output {path} is the task list or one of the farm's own files: give another name")
        if path.exists() and not path.is_file():
            raise FarmError(f"--output {path} is not a regular file: it could not be shortened after a kill")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise FarmError(f"cannot write to --output {path}")
        _check_lock_length(path, target)
        return tails.extent(path)
    except OSError as error:
        mend = ": give a shorter one" if error.errno == errno.ENAMETOOLONG else ""
        raise FarmError(f"cannot use --output {path}: {error.strerror or error}{mend}") from None
    except RuntimeError as error:  # a loop of links, before Python 3.13
        raise FarmError(f"cannot use --output {path}: {error}") from None


def _check_lock_length(path: Path, target: Path) -> None:
    """Raise FarmError if the lock of *target*, to which the file *path* given as --output leads, cannot have a name."""
    (*_, (_, longest)) = acquisition.places(target.with_name(f"lock.{target.name}"))
    over = _length(longest.name) - _longest_name(target.parent)
    if over <= 0:
        over = _length(str(longest)) - _longest_path(target.parent)
    if over > 0:
        leads = f", a link to {target}" if target != path else ""
        too_long = f"the name is {count(over, 'byte')} too long for that of its lock beside it"
        raise FarmError(f"--output {path}{leads}: {too_long}: give a shorter one")


def _same(resolved: Path, other: Path) -> bool:
    return resolved == other.resolve() or (resolved.exists() and other.exists() and resolved.samefile(other))


def _why_not_written(path: Path) -> str:
    """Return what keeps us from writing to *path*, and what to do."""
    if not path.is_file():
        return "is not a file that can be written: remove it"
    owner = path.stat().st_uid
    if owner == os.geteuid():
        return "cannot be written: chmod u+w it, or remove it"
    name = str(owner)
    with suppress(KeyError):
        name = pwd.getpwuid(owner).pw_name
    return (
        f"is a file of {name}'s, and not yours to write to: start in a directory of your own, or let {name} go on with it"
    )


def _length(name: str) -> int:
    return len(os.fsencode(name))


def _longest_name(directory: Path) -> int:
    """Return how long a name may be in *directory*: pathconf(3)."""
    return os.pathconf(directory, "PC_NAME_MAX")


def _longest_path(directory: Path) -> int:
    """Return how long a path may be in *directory*: pathconf(3), which counts the NUL at its end."""
    return os.pathconf(directory, "PC_PATH_MAX") - 1
