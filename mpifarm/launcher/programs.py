"""Programs that start at once, whatever hangs elsewhere: they lie on the node, and so does what the kernel opens with them.

Who starts a program by posix_spawn sleeps until its exec is over (vfork), and exec reads the file, the interpreter that its
first line names, and the loader that an ELF file names. If one of them lies where a server does not answer, a helper that
starts it itself is frozen, with the timeouts and ends of all its slots. The rule: what is not certain to lie on the node is
started by the shell, which does. Then it is the task that hangs, and the helper that ends it at its timeout.

A script says its interpreter in its first line, and that may be a script, too; an ELF file in its program headers (elf(5)).
What is neither, the kernel does not start, or somebody has told it how (binfmt_misc). What was read is kept as long as the
file is the same.
"""

from __future__ import annotations

import os
import re
import struct

from mpifarm.site.mounts import Mounts, Place

_HEAD_BYTES = 4096
_SHEBANG = re.compile(rb"#![ \t]*([^ \t\n\0]+)")
_MOST_SCRIPTS = 4  # that the kernel starts for each other: BINPRM_MAX_RECURSION
_PT_INTERP = 3
_MOST_KEPT = 4096  # files

_Identity = tuple[int, int, int, int]


class Programs:
    """Tells which programs start at once."""

    def __init__(self, mounts: Mounts) -> None:
        self._mounts = mounts
        self._needs: dict[_Identity, bytes | None] = {}

    def start_at_once(self, path: bytes) -> bool:
        """Return whether nothing that starting *path* takes can hang. Raises OSError."""
        for _ in range(_MOST_SCRIPTS):
            if self._mounts.place(path) is not Place.HERE:
                return False
            needed = self._needed(path)
            if not needed:
                return needed is not None
            path = needed
        return False

    def _needed(self, path: bytes) -> bytes | None:
        """Return what *path* says that it is started by; None if that is not certain."""
        status = os.stat(path)
        identity = status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
        if identity not in self._needs:
            if len(self._needs) >= _MOST_KEPT:
                self._needs.clear()
            self._needs[identity] = _interpreter(_head(path))
        return self._needs[identity]


def _head(path: bytes) -> bytes:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return os.read(file, _HEAD_BYTES)
    finally:
        os.close(file)


def _interpreter(head: bytes) -> bytes | None:
    """Return the interpreter that a file with this *head* names; nothing if it needs none; None if that cannot be told."""
    if script := _SHEBANG.match(head):
        return script[1]
    if head[:5] != b"\x7fELF\x02":
        return None
    order = "<" if head[5:6] == b"\x01" else ">"
    try:
        (at,) = struct.unpack_from(order + "Q", head, 32)  # e_phoff; then e_phentsize and e_phnum
        size, count = struct.unpack_from(order + "HH", head, 54)
        for header in range(at, at + size * count, size):
            (kind,) = struct.unpack_from(order + "I", head, header)
            if kind == _PT_INTERP:
                start, length = (struct.unpack_from(order + "Q", head, header + field)[0] for field in (8, 32))
                return head[start : start + length - 1] if start + length <= len(head) else None
    except (struct.error, ValueError):
        return None
    return b""
