"""Which files lie on the node itself: whoever touches another one may hang, for as long as somebody else likes.

A file system that is served by a network, or by a process (FUSE), answers when its server does, and whoever asks meanwhile
sleeps in the kernel, where nothing wakes him. What may not hang asks here first. The rule: nothing is touched to find out.
The kernel tells what is mounted where (/proc/self/mountinfo: proc(5)), and a path is walked word by word, links and all,
so that each is looked at only where all before it has turned out to be the node's own.

1. The node's own are the types of a list. Whatever is not there, is not: autofs, which mounts when it is touched, a type of
   tomorrow, an image (loop) or a block device that may lie anywhere.
2. Where several are mounted over each other, one that is not the node's own is enough.
3. What the shell lies on counts as the node's own: who starts a program by the shell would touch that as well.
4. File systems come and go, and poll(2) on the table tells of it. A link that is changed tells nobody: what was found is
   believed for a second.
"""

from __future__ import annotations

import errno
import os
import re
import select
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import NamedTuple

_TABLE = Path("/proc/self/mountinfo")
_CWD = "/proc/self/cwd"
_OWN = frozenset(
    b"""
    bcachefs btrfs cramfs devtmpfs erofs exfat ext2 ext3 ext4 f2fs iso9660 jfs minix msdos ntfs3 overlay ramfs
    reiserfs rootfs squashfs tmpfs ubifs udf vfat xfs zfs
    """.split()
)
_ANYWHERE = (b"/dev/loop", b"/dev/nbd", b"/dev/rbd", b"/dev/drbd")  # block devices of which the blocks may be elsewhere
_OCTAL = re.compile(rb"\\([0-7]{3})")
_BELIEVED_S = 1.0
_MOST_LINKS = 40  # path_resolution(7)
_MOST_KEPT = 4096  # paths


class Place(Enum):
    """Where a path leads to."""

    HERE = 0  # on the node
    ELSEWHERE = 1  # or it cannot be told
    NOWHERE = 2


_UNKNOWN = (Place.NOWHERE, 0.0)


class Mount(NamedTuple):
    """An entry of the table."""

    device: bytes
    root: bytes  # what of the file system is mounted
    point: bytes  # and where
    kind: bytes
    source: bytes
    options: bytes  # of the file system


def entries(table: bytes) -> Iterator[Mount]:
    """Yield what is mounted. A line is `36 35 98:0 /root /mount/point options [tags ...] - type source options`."""
    for line in table.splitlines():
        before, _, after = line.partition(b" - ")
        _, _, device, root, point, *_ = before.split(b" ")
        kind, source, options = after.split(b" ", 2)
        yield Mount(device, _plain(root), _plain(point), kind, source, options)


class Mounts:
    """Tells what lies on the node."""

    def __init__(self, shell: bytes, table: Path = _TABLE) -> None:
        """*shell* is the one that runs the lines."""
        self._shell = shell
        self._foreign: set[bytes] = set()  # mount points
        self._known: dict[bytes, tuple[Place, float]] = {}  # and until when that is believed
        self._cwd: bytes | None = None
        self._file: int | None = None  # no table: nothing is known to be the node's own
        self._changed = select.poll()
        with suppress(OSError):
            self._file = os.open(table, os.O_RDONLY | os.O_CLOEXEC)
            self._changed.register(self._file, select.POLLPRI)
            self._read()

    def look(self) -> None:
        """Take note of what was mounted and unmounted since."""
        if self._file is not None and self._changed.poll(0):
            self._read()

    def place(self, path: bytes) -> Place:
        """Return where *path* leads to."""
        if self._file is None:
            return Place.ELSEWHERE
        now = time.monotonic()
        place, until = self._known.get(path, _UNKNOWN)
        if now < until:
            return place
        left_at = self._leaves_at(path)
        if left_at is None:
            return Place.NOWHERE  # which is not kept: a task may make it
        place = Place.ELSEWHERE if left_at else Place.HERE
        if len(self._known) >= _MOST_KEPT:
            self._known.clear()
        self._known[path] = place, now + _BELIEVED_S
        return place

    def _read(self) -> None:
        """Take note of what is mounted now, and of where we are."""
        assert self._file is not None
        self._known.clear()
        self._cwd = None
        with suppress(OSError):
            self._cwd = os.fsencode(os.readlink(_CWD))
        foreign: dict[bytes, set[bytes]] = {}  # device, and where it is mounted
        for mount in entries(_whole(self._file)):
            if mount.kind not in _OWN or mount.source.startswith(_ANYWHERE):
                foreign.setdefault(mount.device, set()).add(mount.point)
        self._foreign = set().union(*foreign.values())
        while (left_at := self._leaves_at(self._shell)) in self._foreign:
            device = next(device for device, points in foreign.items() if left_at in points)
            self._foreign -= foreign.pop(device)

    def _leaves_at(self, path: bytes) -> bytes | None:
        """Return where the way to *path* leaves the node, or is barred; nothing if it does not; None: it leads nowhere."""
        if not path.startswith(b"/"):
            if self._cwd is None:
                return path
            path = self._cwd + b"/" + path
        try:
            return b"/" if b"/" in self._foreign else self._walk(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            return path

    def _walk(self, path: bytes) -> bytes:
        """Return the first mount point on the way to *path* that is not the node's own, if any is. Raises OSError."""
        words = path.split(b"/")[::-1]
        at, links = b"", 0  # a directory that no link leads to; the root is nothing
        while words:
            word = words.pop()
            if word == b"..":
                at = at.rpartition(b"/")[0]
            if word in (b"", b".", b".."):
                continue
            there = at + b"/" + word
            if there in self._foreign:
                return there
            if not stat.S_ISLNK(os.lstat(there).st_mode):
                at = there
                continue
            link = os.readlink(there)
            words += link.split(b"/")[::-1]
            at = b"" if link.startswith(b"/") else at
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        return b""


def _plain(written: bytes) -> bytes:
    """Return a path as it is; in the table, blanks and the like are octal numbers."""
    return _OCTAL.sub(lambda octal: bytes([int(octal[1], 8)]), written)


def _whole(file: int) -> bytes:
    """Return all of a table; the kernel gives it in parts."""
    parts: list[bytes] = []
    at = 0
    while part := os.pread(file, 1 << 16, at):
        parts.append(part)
        at += len(part)
    return b"".join(parts)
