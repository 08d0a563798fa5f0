"""The messages between manager and workers: tags, layouts, pack and unpack.

Every message is one numpy buffer of bytes, sent point-to-point, little-endian and packed:

| tag    | from    | layout |
|--------|---------|--------|
| HELLO  | worker  | one HELLO: protocol version, slots, CPUs, memory, node name |
| REPORT | worker  | its header, `records` x ENDED, then what these attempts wrote; with no record: the next part of the |
|        |         | standard output of the first record of the next REPORT of this rank and lane that has one; with |
|        |         | LEFT: a frames.Killed |
| GRANT  | manager | any number of GRANTED: offset, length, seq, attempt |
| BEAT   | both    | nothing; any other message says as much |
| STOP   | manager | one byte, a `Stop` |

Credit: a REPORT says how many more tasks the worker can take, and how many it had received when it said so. Grants that
were on their way meanwhile are known to the manager, so the two never add up to more than the worker has asked for. Of what
it has, some may have ended that it does not tell of yet (see `doubt`): they hold no slot.

Example: a GRANT of two tasks is 56 bytes, `(432, 26, 18, 1) (983, 26, 40, 1)`.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mpifarm import FarmError, ended
from mpifarm.site.offer import Offer

PROTOCOL = 5
BEATS_PER_LOST_AFTER = 8  # how often both sides say that they are alive

Message = NDArray[np.uint8]
Records = NDArray[np.void]  # of one of the structured dtypes below


class Tag(IntEnum):
    """MPI tags."""

    HELLO = 1
    REPORT = 2
    GRANT = 3
    BEAT = 4
    STOP = 5


class Stop(IntEnum):
    """What a worker is told to do."""

    DRAIN = 1  # give back what has not started, finish what runs
    KILL = 2  # give back, and end what runs: TERM, and KILL --kill-after later
    KILL_NOW = 3  # the same without that time
    LEAVE = 4  # nothing is left to do: end the launcher, and say so in a REPORT
    FINALIZE = 5  # everybody has said so: MPI_Finalize, and the end
    VANISH = 6  # somebody has not: the end without MPI_Finalize, which would wait for the lost one
    REJOIN = 7  # you were taken for lost: kill what runs, forget it, and say HELLO again


class Note(IntFlag):
    """What a worker says beside its numbers."""

    LEAVING = 1  # it was told to stop by a signal: it starts nothing more
    BROKEN = 2  # it lost a launcher's helper: what it had and did not report was killed
    LEFT = 4  # its launcher is gone as it was told to; it waits for the last word
    LACKING = 8  # beside BROKEN: it is its node that lacks something, and no task that did it; what, stands in the body


NO_NOTE = Note(0)

_HELLO_COUNTS = ("slots", "cpus", "usable_cpus", "node_cpus")
HELLO = np.dtype([("version", "<i4"), *((name, "<i4") for name in _HELLO_COUNTS), ("memory_kib", "<i8"), ("node", "S256")])
GRANTED = np.dtype([("offset", "<i8"), ("length", "<i8"), ("seq", "<i8"), ("attempt", "<i4")])
_REPORT = struct.Struct("<qiiiiI")  # seen, credit, doubted, records, lane, notes: the one header for which numpy is slow
REPORT_BYTES = _REPORT.size
ENDED = np.dtype([(name, np.dtype(code).newbyteorder("<")) for name, code in ended.FIELDS])


class Report(NamedTuple):
    """What a worker tells: its credit, the attempts that ended (ENDED), and bytes that they wrote."""

    seen: int  # tasks received so far
    credit: int  # tasks it can take beyond those
    lane: int
    notes: Note
    ended: Records
    output: memoryview
    doubted: int = 0  # tasks that have ended, and are not told of yet


def pack_hello(hello: Offer) -> Message:
    """Return a HELLO."""
    row = (PROTOCOL, *(getattr(hello, name) for name in _HELLO_COUNTS), hello.memory_kib, hello.node.encode()[:256])
    return _bytes(np.array([row], dtype=HELLO))


def unpack_hello(message: Message) -> Offer:
    """Read a HELLO. Raises FarmError if the worker runs another version of mpifarm."""
    version = int(message[:4].view("<i4")[0]) if message.size >= 4 else -1
    if version != PROTOCOL or message.size != HELLO.itemsize:
        raise FarmError(
            f"a worker speaks protocol {version}, rank 0 speaks {PROTOCOL}: install one version of mpifarm on all nodes"
        )
    (hello,) = message.view(HELLO)
    counts = {name: int(hello[name]) for name in (*_HELLO_COUNTS, "memory_kib")}
    return Offer(node=hello["node"].decode(errors="replace"), **counts)


def pack_report(
    seen: int, credit: int, notes: Note = NO_NOTE, lane: int = 0, records: int = 0, body: bytes = b"", doubted: int = 0
) -> Message:
    """Return a REPORT; *body* is *records* ENDED followed by what they wrote, or a part of an output."""
    return np.frombuffer(_REPORT.pack(seen, credit, doubted, records, lane, notes) + body, dtype=np.uint8)


def unpack_report(message: Message) -> Report:
    """Read a REPORT without copying what the attempts wrote."""
    if message.size < _REPORT.size:
        raise ValueError(f"a message of {message.size} bytes is no REPORT")
    seen, credit, doubted, count, lane, notes = _REPORT.unpack_from(message.data)
    end = _REPORT.size + count * ENDED.itemsize
    if not _REPORT.size <= end <= message.size:
        raise ValueError(f"a REPORT of {message.size} bytes cannot hold {count} records")
    records: Records = np.frombuffer(message, dtype=ENDED, count=count, offset=_REPORT.size)
    return Report(seen, credit, lane, Note(notes) if notes else NO_NOTE, records, message.data[end:], doubted)


def pack_grant(offsets: Any, lengths: Any, seqs: Any, attempts: Any) -> Message:
    """Return a GRANT of the tasks at *offsets* (int64 array_like, shape (n,)) with their lengths, seqs and attempts."""
    granted = np.empty(len(offsets), dtype=GRANTED)
    granted["offset"], granted["length"], granted["seq"], granted["attempt"] = offsets, lengths, seqs, attempts
    return _bytes(granted)


def unpack_grant(message: Message) -> Records:
    """Read a GRANT: an array of GRANTED."""
    granted: Records = message.view(GRANTED)
    return granted


def pack_beat() -> Message:
    """Return a BEAT."""
    return np.empty(0, dtype=np.uint8)


def pack_stop(how: Stop) -> Message:
    """Return a STOP."""
    return np.array([how], dtype=np.uint8)


def unpack_stop(message: Message) -> Stop:
    """Read a STOP."""
    (how,) = message
    return Stop(int(how))


def _bytes(records: Records) -> Message:
    return np.frombuffer(records.tobytes(), dtype=np.uint8)
