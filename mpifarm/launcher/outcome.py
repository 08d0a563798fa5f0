"""What an attempt comes to: its record, and what it wrote, on their way to the worker.

Trouble with the place for output is trouble of the attempts that need it, not of the farm: one that wrote where no space
is left has failed, whatever its exit code says. What it has said on standard error is followed by what a shell would add,
and by a reason where we know one (see `why`, `space`).

An attempt that was interrupted will be made again: what it wrote so far is nobody's result. But where it stood may be what
people want to know, so some of it is told. Hundreds of thousands may be interrupted at once, just before the end of a job:
each helper tells INTERRUPTED_BYTES of such outputs, and no more.
"""

from __future__ import annotations

import os
import tempfile
import time
from functools import partial
from typing import NamedTuple

from mpifarm import ended
from mpifarm.ended import Ended
from mpifarm.launcher.capture import ERROR_BYTES, INLINE_BYTES, OUTPUT_BYTES, Capture
from mpifarm.launcher.direct import last_words
from mpifarm.launcher.frames import Task
from mpifarm.launcher.outbox import Outbox, Stream
from mpifarm.launcher.slot import Slot
from mpifarm.launcher.space import Space
from mpifarm.launcher.spawn import Environ
from mpifarm.launcher.why import NOT_EXECUTABLE, Reasons

INTERRUPTED_BYTES = 64 * 1024

_TIMED_OUT, _INTERRUPTED = int(Ended.TIMED_OUT), int(Ended.INTERRUPTED)  # a Flag takes a microsecond for an &


class _Sizes(NamedTuple):
    """The last fields of a record."""

    left: int = 0
    total: int = 0
    out: int = 0
    err: int = 0


_NOTHING = _Sizes()


class Outcomes:
    """Puts into *outbox* what has become of attempts on *node*, made with *environ* by *shell*."""

    def __init__(self, outbox: Outbox, node: str, environ: Environ, shell: bytes, space: Space) -> None:
        self._outbox = outbox
        self._node = node
        self._shell = shell
        self._reasons = Reasons(environ, shell)
        self._space = space
        self._to_tell = INTERRUPTED_BYTES  # of what was interrupted

    def ended(self, slot: Slot, now: float) -> bool:
        """Report the attempt that has ended in *slot*; return False if its output is needed there until it is sent."""
        try:
            if slot.flags & _INTERRUPTED:
                self._outbox.add(*self._interrupted(slot), now)
                return True
            return self._report(slot, now)
        except Exception as error:  # whatever it is: this attempt's trouble, not the helper's end
            self._outbox.add(*self._unreadable(slot, error), now)
            return True

    def _report(self, slot: Slot, now: float) -> bool:
        out, err = slot.out, slot.err
        assert slot.result and out and err
        errors = self._errors(slot, err)
        succeeded = slot.result.status == 0 and not slot.flags & _TIMED_OUT
        if missing := out.trouble or err.trouble:
            if succeeded:
                slot.result = slot.result._replace(status=os.EX_IOERR)
            succeeded = False
            errors = _with_remark(errors, self._no_place(missing))
        if succeeded and out.size > INLINE_BYTES:
            record = _record(slot, _Sizes(slot.left, out.size, 0, len(errors)))
            broken = partial(self._unreadable, slot)
            self._outbox.add_stream(Stream(slot.index, out.file, out.size, record, errors, broken))
            return False
        output, clipped = (out.whole(), False) if succeeded else out.clipped(OUTPUT_BYTES)
        slot.flags |= Ended.CLIPPED if clipped else 0
        record = _record(slot, _Sizes(slot.left, out.size, len(output), len(errors)))
        self._outbox.add(record, output + errors, now)
        return True

    def _interrupted(self, slot: Slot) -> tuple[bytes, bytes]:
        """Return record and outputs of the attempt in *slot*, which was ended with the farm. Raises OSError."""
        assert slot.out and slot.err
        (output, _), (errors, _) = slot.out.clipped(OUTPUT_BYTES), slot.err.clipped(OUTPUT_BYTES)
        if len(output) + len(errors) > self._to_tell:
            return _record(slot, _Sizes(total=slot.out.size)), b""
        self._to_tell -= len(output) + len(errors)
        return _record(slot, _Sizes(0, slot.out.size, len(output), len(errors))), output + errors

    def _no_place(self, missing: str) -> bytes:
        """Return the remark that some of what was printed could not be kept, since *missing*."""
        place = os.fsencode(tempfile.gettempdir())
        why = f": {missing}: make room there, or set TMPDIR\n".encode()
        return b"mpifarm: %s: no place for what it printed, in %s" % (os.fsencode(self._node), place) + why

    def not_startable(self, task: Task, slot: Slot, started_unix: float, error: Exception, now: float) -> None:
        """Report a task whose start has failed in *slot*."""
        reason = f"mpifarm: {self._node}: cannot start {os.fsdecode(self._shell)}: {error}\n".encode()
        record = _record_unstarted(task, slot.number, NOT_EXECUTABLE, started_unix, Ended.NOT_STARTED, len(reason))
        self._outbox.add(record, reason, now)

    def given_back(self, task: Task, now: float) -> None:
        """Report a task that was never started."""
        flags = Ended.INTERRUPTED | Ended.NOT_STARTED
        self._outbox.add(_record_unstarted(task, 0, 0, time.time(), flags, 0), b"", now)

    def _unreadable(self, slot: Slot, error: Exception, sent: int = 0) -> tuple[bytes, bytes]:
        """Return record and standard error of the attempt in *slot* if what it has printed cannot be read.

        It has failed, with its own exit code if that says so, and nothing of what it has printed is told. The record
        says how much was *sent* by then: whoever keeps that lets it go.
        """
        assert slot.result
        reason = f"mpifarm: {self._node}: what it printed cannot be read: {error} (set TMPDIR)\n".encode(errors="replace")
        slot.result = slot.result._replace(status=slot.result.status or os.EX_IOERR)
        slot.flags |= Ended.CLIPPED if sent else 0
        return _record(slot, _Sizes(total=sent, err=len(reason))), reason

    def _errors(self, slot: Slot, err: Capture) -> bytes:
        """Return the standard error of the attempt in *slot*, and what a shell would add to it."""
        assert slot.task and slot.result
        errors, clipped = err.clipped(ERROR_BYTES)
        slot.flags |= Ended.CLIPPED if clipped else 0
        if slot.awaited and not slot.flags and slot.result.status < 0:
            status, message = last_words(slot.result.status, slot.result.core)
            slot.result = slot.result._replace(status=status)
            errors += message
        if slot.flags & _TIMED_OUT or slot.result.status == 0:
            return errors
        if slot.result.status > 0:
            errors = _with_remark(errors, self._reasons.of(slot.task.command, slot.result.status))
        if full := self._space.full():
            errors = _with_remark(errors, b"mpifarm: %s: %s\n" % (os.fsencode(self._node), full))
        return errors


def _with_remark(errors: bytes, remark: bytes) -> bytes:
    """Return a standard error with a *remark* of ours, on a line of its own, behind it."""
    return errors + (b"\n" if remark and errors and not errors.endswith(b"\n") else b"") + remark


def _record(slot: Slot, sizes: _Sizes) -> bytes:
    task, result = slot.task, slot.result
    assert task and result
    return ended.STRUCT.pack(
        task.offset,
        task.attempt,
        slot.number,
        result.status,
        slot.flags,
        slot.started_unix,
        result.seconds,
        result.user_s,
        result.system_s,
        result.rss_kib,
        *sizes,
    )


def _record_unstarted(task: Task, slot: int, status: int, start: float, flags: Ended, err: int) -> bytes:
    sizes = _Sizes(err=err)
    return ended.STRUCT.pack(task.offset, task.attempt, slot, status, flags, start, 0.0, 0.0, 0.0, 0, *sizes)
