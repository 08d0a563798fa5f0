"""Several files of a list replaced as one step: whatever moment it is killed at, it is undone, or done at the next start.

The rule: everything is computed and written beside first. What replaces progress.tasks.txt.tfin lies in
progress.tasks.txt.tfin.due, synced; then the intent, intent.tasks.txt.tfin, is put in place, which names all of it:

    {"files": {"progress": [1083, 195948557, [1140, 3735928559]], ...}, "gone": {"done": [5, 12648430]}, "told": [...]}
    crc=0badc0de

for each file its size and CRC-32 to be, and the size and the checksum of the end (see `tails`) of what it replaces, null if
there was none; what is to be removed; and what is to be told to people. From that moment the step is done: every start
finishes it before it reads anything. Renames, removals, and the intent goes last.

The thinking:
1. What has its name already was renamed. So finishing can be killed, too, and is finished once more.
2. What the user has deleted meanwhile stays deleted: without progress he starts over.
3. Who knows nothing of intents, TaskFarmer or an earlier version, may have run in between. If nothing was renamed by then,
   the old files are whole, and his: the step is dropped. If all was, there is nothing left to do. In between his records
   would be lost, or belong to neither list: refused. Fastrecovery goes first, since its checksum of the list keeps an
   earlier version of ours from running on such a mixture.
4. What is replaced is synced before, so that it is known again after a crash.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mpifarm import FarmError, files
from mpifarm.files import Prove
from mpifarm.journal import tails
from mpifarm.journal.names import Names, due_name
from mpifarm.journal.tails import Seen
from mpifarm.tasks.tfin import checksum

Between = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Due:
    """What is due to take the place of a file."""

    size: int
    crc: int  # CRC-32 of all of it
    old: Seen | None  # the file that it replaces, if there is one


@dataclass(slots=True)
class Intent:
    """What the intent file says."""

    files: dict[str, Due] = field(default_factory=dict)
    gone: dict[str, Seen] = field(default_factory=dict)  # files to be removed
    told: list[str] = field(default_factory=list)

    def text(self) -> bytes:
        words = {
            "files": {
                kind: [due.size, due.crc, due.old and [due.old.size, due.old.end]] for kind, due in self.files.items()
            },
            "gone": {kind: [seen.size, seen.end] for kind, seen in self.gone.items()},
            "told": self.told,
        }
        line = json.dumps(words).encode() + b"\n"
        return line + b"crc=%08x\n" % zlib.crc32(line)


class Step:
    """One step, until it is intended."""

    def __init__(self, names: Names, prove: Prove) -> None:
        self._names = names
        self.prove = prove
        self._intent = Intent()

    def write(self, path: Path, parts: Iterable[bytes]) -> int:
        """Write what is due to replace *path*; return its size. Raises OSError."""
        size = crc = 0
        with files.create(due_name(path), self.prove) as file:
            for part in parts:
                self.prove()
                files.write_all(file.fileno(), part)
                size, crc = size + len(part), zlib.crc32(part, crc)
            os.fsync(file.fileno())
        self._add(path, size, crc)
        return size

    def take(self, new: Path, path: Path) -> None:
        """Let the file *new* be what is due to replace *path*. Raises OSError."""
        with new.open("rb") as file:
            os.fsync(file.fileno())
            size, crc = _checksum(file.fileno(), self.prove)
        files.rename(new, due_name(path), self.prove)
        self._add(path, size, crc)

    def clear(self, path: Path) -> None:
        """There is to be no *path*."""
        if path.exists():
            self._intent.gone[self._names.kind(path)] = _synced(path)

    def intend(self, told: Sequence[str]) -> None:
        """From here on it is done, as soon as `finish` has its turn. Raises OSError: then the next start knows whether."""
        self._intent.told = list(told)
        files.sync_directory(self._names.intent.parent)
        files.replace(self._names.intent, self._intent.text(), self.prove)

    def drop(self) -> None:
        """Leave nothing behind of a step that is not intended. Raises OSError."""
        if not self._names.intent.exists():
            give_up(self._names, self.prove)

    def _add(self, path: Path, size: int, crc: int) -> None:
        old = _synced(path) if path.exists() else None
        self._intent.files[self._names.kind(path)] = Due(size, crc, old)


def finish(
    names: Names, prove: Prove, between: Between = lambda: None, before_the_last: Between = lambda: None
) -> list[str] | None:
    """Finish what is intended, or take away what was not; return what it has to tell, None if nothing was to be done.

    *between* is called between reads; *before_the_last* when all is in place, and the intent goes next. Raises OSError, and
    FarmError if it cannot be finished: then nothing was touched.
    """
    intent = _read(names)
    waiting = _waiting(names, intent, between) if intent else None
    if intent is None or waiting is None:
        give_up(names, prove)
        return None
    for kind in waiting:
        path = names.of(kind)
        if intent.files[kind].old and not path.exists():
            files.remove(due_name(path), prove)
        else:
            files.rename(due_name(path), path, prove)
    for kind, seen in intent.gone.items():
        if tails.seen(names.of(kind)) == seen:
            files.remove(names.of(kind), prove)
    before_the_last()
    files.remove(names.intent, prove)
    files.sync_directory(names.intent.parent)
    return intent.told


def give_up(names: Names, prove: Prove) -> None:
    """Take away what was intended, and what was due: the old files are whole, or forgotten. Raises OSError."""
    # The intent first: without it, what is due is nothing.
    for path in (names.intent, files.new_name(names.intent), *map(due_name, names.all())):
        if os.path.lexists(path):
            files.remove(path, prove)


def _waiting(names: Names, intent: Intent, between: Between) -> list[str] | None:
    """Return which files are still to be renamed; None if the step has to be dropped, and can be.

    Raises FarmError if it can neither be finished nor dropped.
    """
    waiting, renamed, lost, changed = [], [], [], []
    for kind, due in intent.files.items():
        path = names.of(kind)
        if due_name(path).exists():
            waiting.append(kind)
            if not _fits(due_name(path), due, between):
                lost.append(due_name(path))
            elif path.exists() and tails.seen(path) != due.old:
                changed.append(path)
        elif not path.exists() or _fits(path, due, between):
            renamed.append(kind)
        elif tails.seen(path) == due.old:
            lost.append(due_name(path))
        else:
            renamed.append(kind)
            changed.append(path)
    if not renamed:
        return None if lost or changed else waiting
    if lost:
        raise FarmError(
            f"the files of this list were being rewritten when the farm was killed, and {lost[0]} is gone or damaged:"
            " restore it, or give --rerun to run the whole list again"
        )
    if waiting and changed:
        raise FarmError(
            f"the files of this list were being rewritten when the farm was killed, and {changed[0]} has changed since:"
            " was TaskFarmer or an earlier version started? restore it, or give --rerun to run the whole list again"
        )
    return waiting


def _read(names: Names) -> Intent | None:
    try:
        whole = names.intent.read_bytes()
    except FileNotFoundError:
        return None
    line, newline, rest = whole.partition(b"\n")
    if rest != b"crc=%08x\n" % zlib.crc32(line + newline):
        raise FarmError(f"{names.intent} is damaged: restore it, or give --rerun to run the whole list again")
    words = json.loads(line)
    return Intent(
        {kind: Due(size, crc, Seen(*old) if old else None) for kind, (size, crc, old) in words["files"].items()},
        {kind: Seen(*seen) for kind, seen in words["gone"].items()},
        words["told"],
    )


def _synced(path: Path) -> Seen:
    """Return how *path* is, and will be after a crash."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return tails.seen(path)


def _fits(path: Path, due: Due, between: Between) -> bool:
    with path.open("rb") as file:
        return _checksum(file.fileno(), between) == (due.size, due.crc)


def _checksum(descriptor: int, between: Between) -> tuple[int, int]:
    """Return how many bytes an open file has, and the CRC-32 of all of them."""
    size = os.fstat(descriptor).st_size
    return size, checksum(descriptor, 0, size, 0, between)
