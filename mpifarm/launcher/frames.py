"""What a worker and its launcher's helpers say to each other, over a socket pair and a shared table on one machine.

Worker to helper, `<BI` kind and length, then the body:
  SETUP      JSON: node, threads, first_slot, slots; widen: whether tasks may use all CPUs of the job; cpus: of a slot,
             for SLURM_CPUS_PER_TASK, 0: leave that alone; shell: that runs the lines; kill_after_s: between TERM and KILL
  START      any number of ENTRY (offset, seq, attempt, timeout in seconds or 0, length of the command) + command
  RECALL     give back what has not started
  TERMINATE  give back, and TERM what runs, KILL what is there kill_after_s later
  KILL       give back, and KILL what runs
Helper to worker, `<BII` kind, number of records and length, then the body:
  ENDED      the records (ended.STRUCT), then what they wrote
  CHUNK      the next part of the standard output of the first record of the next ENDED
  TROUBLE    text: why this helper cannot work
Example of a START, 41 bytes long, for task 432, line 18 of the list, attempt 1, at most 3 s:
`2 41 432 18 1 3.0 9 'make soup'`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

ORDER = struct.Struct("<BI")
REPLY = struct.Struct("<BII")
ENTRY = struct.Struct("<qqidI")
SESSION = struct.Struct("<q")  # an entry of the table of the tasks' sessions that both sides see
SHELL = "/bin/sh"  # that runs the lines if nobody says otherwise
MAX_SLOTS = 4096  # entries of that table, and so the slots of a rank; more is a typing error
KILLED_AT = MAX_SLOTS * SESSION.size  # behind these entries stands a Killed
MOST_NAMED = 8
_KILLED = struct.Struct(f"<{1 + MOST_NAMED}q")
TABLE_BYTES = KILLED_AT + _KILLED.size


class Task(NamedTuple):
    """An attempt that is to be made."""

    offset: int  # which task: of its record in the .tfin file
    seq: int  # which line of that, from 1
    attempt: int
    timeout_s: float  # 0: none
    command: bytes


@dataclass(frozen=True, slots=True)
class Killed:
    """What tasks had left running in the background, and what was killed of it in the end."""

    processes: int = 0
    tasks: tuple[int, ...] = ()  # which had left it: their seqs, sorted, MOST_NAMED at most

    def __add__(self, other: Killed) -> Killed:
        return Killed(self.processes + other.processes, tuple(sorted({*self.tasks, *other.tasks})[:MOST_NAMED]))

    def packed(self) -> bytes:
        """Return it as bytes, always as many."""
        return _KILLED.pack(self.processes, *self.tasks, *[0] * (MOST_NAMED - len(self.tasks)))

    @staticmethod
    def unpacked(packed: bytes | memoryview) -> Killed:
        """Read it."""
        processes, *tasks = _KILLED.unpack(packed)
        return Killed(processes, tuple(filter(None, tasks)))


class Order(IntEnum):
    """Kinds of frames from the worker."""

    SETUP = 1
    START = 2
    RECALL = 3
    TERMINATE = 4
    KILL = 5


class Reply(IntEnum):
    """Kinds of frames to the worker."""

    ENDED = 1
    CHUNK = 2
    TROUBLE = 3


def order(kind: Order, body: bytes = b"") -> bytes:
    """Return a whole frame to a helper."""
    return ORDER.pack(kind, len(body)) + body


def reply(kind: Reply, body: bytes, records: int = 0) -> bytes:
    """Return a whole frame to the worker."""
    return REPLY.pack(kind, records, len(body)) + body
