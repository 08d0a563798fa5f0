"""The record of an attempt that ended: one layout for the helper (struct) and for the wire (numpy).

The launcher's helper is forked before numpy exists, so the layout is written down once here with the standard library
alone, and `wire.ENDED` is built from the same FIELDS. Little-endian, packed.

The captured bytes follow the records of one batch in the same order, for each record its standard output, then its
standard error. `out_total` counts all of a standard output, `out_bytes` what stands in this batch: what is missing of one
that succeeded has been sent ahead in chunks, and of another one was left out.
"""

from __future__ import annotations

import struct
from enum import IntFlag

FIELDS = (
    ("offset", "q"),  # the task: byte offset of its record in the .tfin file
    ("attempt", "i"),  # counts from 1
    ("slot", "i"),  # counts from 1 on each node
    ("status", "i"),  # exit code, or minus the number of the signal
    ("flags", "I"),  # Ended flags, below
    ("start", "d"),  # Unix time, seconds, clock of the node
    ("seconds", "d"),  # wall time of the attempt
    ("user_s", "d"),  # CPU time of the attempt and of the children it waited for
    ("system_s", "d"),
    ("rss_kib", "q"),  # peak resident set of the largest process
    ("left", "q"),  # processes that it has left running in the background, of an attempt that exited with 0
    ("out_total", "q"),  # bytes of standard output, all of it
    ("out_bytes", "q"),  # bytes of standard output in this batch
    ("err_bytes", "q"),  # bytes of standard error in this batch
)

STRUCT = struct.Struct("<" + "".join(code for _, code in FIELDS))


class Ended(IntFlag):
    """How an attempt ended, beside its exit status."""

    TIMED_OUT = 1  # it took longer than --timeout and was terminated
    INTERRUPTED = 2  # it was stopped, or never started, because the farm stops: not a failure
    NOT_STARTED = 4  # there was no process: its standard error says why
    CLIPPED = 8  # the middle of a long standard error, or of a failed attempt's output, was left out
