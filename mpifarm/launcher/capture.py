"""What a task writes: a pipe for each stream of a slot, used again by its next task, and what was read from it.

A pipe, and not a file: what opens `/dev/stdout` anew (`> /dev/stderr` in a shell, Python's `open("/dev/stdout", "w")`,
`tee /dev/stderr`) would truncate a file, and what the task has written before would be gone; to a pipe it adds, as it does
everywhere else. So

1. The helper keeps both ends, so that a pipe outlives its tasks, and reads whenever there is something: a task waits for
   it only when it writes faster than that. A pipe is a single read, so whatever a process has written before it ended is
   there after one more.
2. A little stays in memory. More goes to an unnamed file, so no file is created per task and none is left behind, whoever
   is killed; it is kept for the next task. Where that file takes no more, reading goes on, and the attempt has failed; and
   so it has where the file does not give back what it took: nothing is made up for it.
3. Somebody may go on writing when a task has ended: what it has left in the background. The next task gets a pipe of its
   own, and the old one is read until nobody is left to write to it: were it closed, the next word would kill the writer.
4. A wide node has thousands of these descriptors, a task should see the limit that its user has set, and what has a number
   below the limit stays open when the limit falls. So the limit is raised only while some are opened, to high numbers.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import select
import selectors
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mpifarm import files
from mpifarm.launcher.frames import MAX_SLOTS
from mpifarm.words import count, counted

INLINE_BYTES = 16 * 1024  # standard output up to here travels with its record; the rest is streamed
ERROR_BYTES = 256 * 1024  # of a standard error, head and tail make at most this
OUTPUT_BYTES = 4 * 1024  # the same, of the output of an attempt that has not succeeded: for people, in the log

_PIPE_BYTES = 64 * 1024  # what a pipe holds on Linux, unless it is told otherwise: pipe(7)
_LARGE_BYTES = 256 * 1024  # what it is told to hold where much is printed; a user may have so much in 256 pipes
_READABLE = getattr(select, "EPOLLIN", 0)
_READS = _LARGE_BYTES // _PIPE_BYTES + 1
_SLOT_DESCRIPTORS = 6  # two pipes, and a file for each
_OTHER_DESCRIPTORS = 10  # that the helper opens now and then, with numbers below those
_FIRST = 10  # a task is given the descriptors below


def most_slots() -> int:
    """Return how many slots a helper can have, by the descriptors that it may open."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY:
        return MAX_SLOTS
    return min(MAX_SLOTS, max(0, (most - _FIRST - _OTHER_DESCRIPTORS) // _SLOT_DESCRIPTORS))


class Capture:
    """One stream of a slot, and what the task that runs there has written to it."""

    def __init__(self) -> None:
        """Raises OSError."""
        self.size = 0  # bytes
        self.trouble = ""  # why some of it is missing
        self._parts: list[bytes] = []  # up to INLINE_BYTES
        self._file = -1
        self._in_file = False
        reader, writer = os.pipe()
        try:
            with _room():
                self.reader, self.writer = _high(reader), _high(writer)
        finally:
            os.close(reader)
            os.close(writer)
        os.set_blocking(self.reader, False)

    @property
    def file(self) -> int:
        """The descriptor of a file that begins with what was written, if that is more than INLINE_BYTES."""
        return self._file

    def read(self) -> None:
        """Take what is in the pipe: all of it, but not what comes in the meantime."""
        try:
            for _ in range(_READS):
                if self._in_file and not self.trouble and self._moved():
                    return
                part = os.read(self.reader, _PIPE_BYTES)
                self._keep(part)
                if len(part) < _PIPE_BYTES:
                    return
        except BlockingIOError:
            return
        except OSError as error:
            self.trouble = self.trouble or error.strerror or str(error)

    def whole(self) -> bytes:
        """Return all of it. Raises OSError."""
        return read_part(self._file, self.size, 0) if self._in_file else b"".join(self._parts)

    def clipped(self, most: int) -> tuple[bytes, bool]:
        """Return all of it and False, or, of more than *most* bytes, head, notice and tail, and True. Raises OSError."""
        if self.size <= most:
            return self.whole(), False
        half = most // 2
        notice = f"\n[mpifarm: {count(self.size - 2 * half, 'byte')} left out here]\n"
        if self._in_file:
            head, tail = (read_part(self._file, half, at) for at in (0, self.size - half))
        else:
            head, tail = self.whole()[:half], self.whole()[-half:]
        return head + notice.encode() + tail, True

    def empty(self) -> None:
        """Forget it: the next task begins."""
        self.trouble = ""
        if not self.size:
            return
        self.size = 0
        self._parts.clear()
        if self._in_file:
            self._in_file = False
            try:
                os.ftruncate(self._file, 0)
                os.lseek(self._file, 0, os.SEEK_SET)
            except OSError:  # btrfs cannot shorten a file where the quota is used up
                self._close_file()

    def leave(self) -> int:
        """Close all but the reader, which is the caller's now."""
        os.close(self.writer)
        self._close_file()
        return self.reader

    def _close_file(self) -> None:
        if self._file >= 0:
            with suppress(OSError):  # NFS tells there of what it could not write: nobody needs that any more
                os.close(self._file)
            self._file = -1

    def _moved(self) -> bool:
        """Move what is in the pipe to the file without looking at it; return False if that cannot be."""
        try:
            self.size += os.splice(self.reader, self._file, _LARGE_BYTES, offset_dst=self.size)
        except BlockingIOError:
            raise
        except (AttributeError, OSError):  # macOS; a file system that cannot, or has no place: a write will tell
            return False
        return True

    def _keep(self, part: bytes) -> None:
        if self.trouble:
            return
        if not self._in_file and self.size + len(part) <= INLINE_BYTES:
            self._parts.append(part)
            self.size += len(part)
            return
        try:
            self._write(part)
        except OSError as error:
            self.trouble = error.strerror or str(error)

    def _write(self, part: bytes) -> None:
        if self._file < 0:
            with _room():
                unnamed = files.open_unnamed()
                try:
                    self._file = _high(unnamed)
                finally:
                    os.close(unnamed)
            with suppress(AttributeError, OSError):  # macOS; a user who has more pipes
                fcntl.fcntl(self.reader, fcntl.F_SETPIPE_SZ, _LARGE_BYTES)
        if not self._in_file:
            files.write_all(self._file, b"".join(self._parts))
            self._in_file = True
            self._parts.clear()
        os.lseek(self._file, self.size, os.SEEK_SET)  # splice(2) has moved on without it
        files.write_all(self._file, part)
        self.size += len(part)


class Readers:
    """The readers' ends of all pipes of a helper."""

    def __init__(self) -> None:
        # poll(2) has too low a limit, and is linear
        self._epoll = select.epoll() if hasattr(select, "epoll") else _Kqueue()
        self._captures: dict[int, Capture] = {}  # by the reader's end

    @property
    def descriptor(self) -> int:
        """Is ready for reading when there is something to `read`."""
        return self._epoll.fileno()

    def add(self, capture: Capture) -> None:
        """From now on, read from *capture*."""
        self._captures[capture.reader] = capture
        self._epoll.register(capture.reader, _READABLE)

    def drop(self, capture: Capture) -> None:
        """Read what comes from *capture*, and forget it, until nobody is left who might write to it."""
        del self._captures[capture.leave()]

    def read(self) -> None:
        """Take what is there, at most what a pipe holds from each."""
        for reader, _ in self._epoll.poll(0):
            if capture := self._captures.get(reader):
                capture.read()
            else:
                self._pour_away(reader)

    def _pour_away(self, reader: int) -> None:
        try:
            if os.read(reader, _PIPE_BYTES):
                return
        except BlockingIOError:
            return
        except OSError:  # whatever it is, nothing more comes from there
            pass
        self._epoll.unregister(reader)
        os.close(reader)


class _Kqueue:
    """epoll's verbs where there is none."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def fileno(self) -> int:
        descriptor: int = self._selector.fileno()  # type: ignore[attr-defined,unused-ignore]  # of kqueue, and epoll
        return descriptor

    def register(self, descriptor: int, _events: int) -> None:
        self._selector.register(descriptor, selectors.EVENT_READ)

    def unregister(self, descriptor: int) -> None:
        self._selector.unregister(descriptor)

    def poll(self, timeout: float) -> list[tuple[int, int]]:
        return [(key.fd, events) for key, events in self._selector.select(timeout)]


def read_part(file: int, size: int, at: int) -> bytes:
    """Return *size* bytes at *at*, which were written there. Raises OSError, if they are not all there as well."""
    part = os.pread(file, size, at)
    if len(part) < size:
        raise OSError(errno.EIO, f"{counted(size - len(part), 'byte')} not there any more of what was written")
    return part


def _high(descriptor: int) -> int:
    """Return a copy of *descriptor* that is out of the way, and that no task inherits. Raises OSError."""
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST + _OTHER_DESCRIPTORS)


@contextmanager
def _room() -> Iterator[None]:
    """Let this process open as many descriptors as it may at most."""
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY:  # macOS says so, and takes no such number
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))
