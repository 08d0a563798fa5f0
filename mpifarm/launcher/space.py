"""Whether TMPDIR is full: then a task may fail that says nothing of it, or dies of a SIGBUS.

The rule: a hint, told beside what the task has said, and only of failures. Nothing is touched but what lies on the node
itself, since another file system may hang (see `site.mounts`); and what a task has removed before it ended is not seen.
"""

from __future__ import annotations

import os

from mpifarm.launcher.spawn import Environ
from mpifarm.site.mounts import Mounts, Place

_LEAST_BYTES = 64 * 1024  # a file system with less than that free takes hardly anything more


class Space:
    """What is left where tasks with one environment keep what they need for a moment."""

    def __init__(self, environ: Environ, mounts: Mounts) -> None:
        self._place = environ.get(b"TMPDIR") or b"/tmp"
        self._mounts = mounts

    def full(self) -> bytes:
        """Return that there is no space, or no inode, left; nothing if there is, or if it cannot be told."""
        self._mounts.look()
        if self._mounts.place(self._place) is not Place.HERE:
            return b""
        try:
            there = os.statvfs(self._place)
        except OSError:
            return b""
        if there.f_bavail * there.f_frsize < _LEAST_BYTES:
            return b"TMPDIR is full: no space is left on the file system of %s" % self._place
        if there.f_files and not there.f_favail:
            return b"TMPDIR is full: no inode is left on the file system of %s" % self._place
        return b""
