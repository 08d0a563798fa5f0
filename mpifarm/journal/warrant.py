"""The right to write to the files of a list, and to cut, replace or remove them: proven at that moment, or there is none.

The rule: nothing that was looked at before counts. Between a look and an act a file server may hang, and the list is
another manager's by then, who has judged, cut and written himself. So whatever destroys something proves, at that moment,

1. that the locks of the list and of the file given as --output are still ours, by a look at this moment;
2. if it cuts off what earlier runs have left: that the file is still the one that was read and judged. Its length and the
   checksum of its end are as they were before it was read, and what is to be kept ends as it did then.

What no look can tell is what a node that is cut off has handed to its kernel before: that may be written at any time.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from mpifarm import files
from mpifarm.journal import tails
from mpifarm.journal.lock import Lock
from mpifarm.journal.tails import Seen


class Warrant:
    """A lock, and how the files were that may be cut."""

    def __init__(self, lock: Lock, paths: Iterable[Path]) -> None:
        """*paths*: files that are going to be read, and judged by what stands in them."""
        self._lock = lock
        self._seen = {files.own(path): tails.seen(path) for path in paths}
        self._kept: dict[Path, Seen] = {}

    def prove(self) -> None:
        """Raise TakenOver unless the list is ours at this moment, and OSError if nobody can tell."""
        self._lock.prove()

    def keep(self) -> None:
        """Show now and then, while files are read for long, that we are alive; raise as `prove` does."""
        self._lock.keep()

    def judge(self, path: Path, size: int) -> None:
        """Note that only the first *size* bytes of *path* count."""
        path = files.own(path)
        if size < self._seen[path].size:
            self._kept[path] = tails.seen(path, size)

    def confirm(self) -> None:
        """Raise OSError unless all the files are as they were: before the first thing is touched."""
        self.prove()
        for path, seen in self._seen.items():
            if tails.seen(path) != seen:
                raise self.changed(path)

    def opened(self, descriptor: int, path: Path) -> int:
        """Cut a file that was opened for appending to what counts of it; return its size.

        Raises OSError if it is not the one that was read.
        """
        seen, kept = self._seen.get(path, Seen()), self._kept.get(path)

        def prove() -> None:
            if not seen.fits(descriptor) or (kept and not kept.begins(descriptor)):
                raise self.changed(path)
            self.prove()

        if kept is None:
            prove()
            return seen.size
        files.cut(descriptor, kept.size, prove)
        return kept.size

    def cut(self, descriptor: int, path: Path, size: int, known: int) -> None:
        """Cut off what this run has written itself; the file has *known* bytes then. Raises OSError if it has not."""

        def prove() -> None:
            if os.fstat(descriptor).st_size != known:
                raise self.changed(path)
            self.prove()

        files.cut(descriptor, size, prove)

    def remove(self, path: Path) -> None:
        """Let there be no *path*: what is opened next under that name is a new file."""
        judged = files.own(path)
        files.remove(path, self.prove)
        self._seen.pop(judged, None)
        self._kept.pop(judged, None)

    def changed(self, path: Path, how: str = "") -> OSError:
        """Return the error that *path* is not as it should be. Raises TakenOver if that is why."""
        self.prove()
        return OSError(errno.EIO, f"somebody else has changed it{how}", str(path))
