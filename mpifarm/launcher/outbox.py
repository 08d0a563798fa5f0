"""The helper's reports on their way to the worker: batched, streamed, bounded.

While there is other work, ends wait for company (64 of them, or 20 ms): waking the worker for each one halves the rate.
Standard output of more than a few KiB is read from its capture file chunk by chunk as the worker takes it, so it is
never in memory as a whole; its record follows its last chunk, and nothing comes in between. If the file cannot be read to
its end, another record does, that of a failure, and rank 0 forgets the chunks.
"""

from __future__ import annotations

import math
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from mpifarm.launcher.capture import read_part
from mpifarm.launcher.frames import Reply, reply

BATCH_ENDS = 64
BATCH_BYTES = 256 * 1024
BATCH_S = 0.02
CHUNK_BYTES = 256 * 1024
BACKLOG_BYTES = 4 * 1024 * 1024  # not yet taken by the worker; beyond it nothing new should be started


@dataclass(slots=True)
class Stream:
    """The standard output of one attempt, *size* bytes at the start of the file *descriptor*, and its record."""

    slot: int  # index, free again when this has been sent
    descriptor: int
    size: int
    record: bytes
    err: bytes
    broken: Callable[[OSError, int], tuple[bytes, bytes]]  # if only so much could be read; returns record, standard error
    sent: int = 0


@dataclass(slots=True)
class _Batch:
    records: list[bytes] = field(default_factory=list)
    outputs: list[bytes] = field(default_factory=list)
    size: int = 0
    since: float = 0.0


class Outbox:
    """Everything a helper has to tell, in order."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._batch = _Batch()
        self._streams: deque[Stream] = deque()
        self._outgoing: deque[memoryview] = deque()
        self._outgoing_bytes = 0

    @property
    def full(self) -> bool:
        """Whether so much waits for the worker that no more should be produced."""
        return self._outgoing_bytes + self._batch.size >= BACKLOG_BYTES

    @property
    def eager(self) -> bool:
        """Whether something could be sent as soon as the worker takes it."""
        return bool(self._outgoing or self._streams)

    @property
    def due_at(self) -> float:
        """When the batch has waited long enough, by the helper's clock."""
        return self._batch.since + BATCH_S if self._batch.records and not self._streaming else math.inf

    @property
    def _streaming(self) -> bool:
        """Whether a stream has begun: its record comes next, at the worker's pace."""
        return bool(self._streams) and self._streams[0].sent > 0

    def add(self, record: bytes, output: bytes, now: float) -> None:
        """Report an attempt with all that it wrote."""
        batch = self._batch
        if not batch.records:
            batch.since = now
        batch.records.append(record)
        batch.outputs.append(output)
        batch.size += len(record) + len(output)

    def add_stream(self, stream: Stream) -> None:
        """Report an attempt whose standard output is sent from its file."""
        self._streams.append(stream)

    def add_trouble(self, text: str) -> None:
        """Report that this helper cannot work, after all else."""
        if self._batch.records:
            self._put_batch()
        self._put(reply(Reply.TROUBLE, text.encode()))

    def close_batch(self, now: float, idle: bool) -> None:
        """Let the batch go if it is large or old enough, or if the helper has nothing better to do (*idle*)."""
        batch = self._batch
        if not batch.records or self._streaming:
            return
        if idle or len(batch.records) >= BATCH_ENDS or batch.size >= BATCH_BYTES or now >= batch.since + BATCH_S:
            self._put_batch()

    def send(self) -> list[Stream]:
        """Send what the worker takes without waiting; return the streams that are over. Raises ConnectionError."""
        over: list[Stream] = []
        while self.eager:
            if not self._outgoing:
                self._continue_stream(over)
            head = self._outgoing[0]
            try:
                sent = self._connection.send(head)
            except BlockingIOError:
                break
            self._outgoing_bytes -= sent
            if sent == len(head):
                self._outgoing.popleft()
            else:
                self._outgoing[0] = head[sent:]
        return over

    def _continue_stream(self, over: list[Stream]) -> None:
        stream = self._streams[0]
        if not stream.sent and self._batch.records:
            self._put_batch()
            return
        if stream.sent < stream.size:
            try:
                chunk = read_part(stream.descriptor, min(CHUNK_BYTES, stream.size - stream.sent), stream.sent)
            except OSError as error:
                self._end_stream(*stream.broken(error, stream.sent), over)
                return
            stream.sent += len(chunk)
            self._put(reply(Reply.CHUNK, chunk))
        else:
            self._end_stream(stream.record, stream.err, over)

    def _end_stream(self, record: bytes, err: bytes, over: list[Stream]) -> None:
        self._put(reply(Reply.ENDED, record + err, records=1))
        over.append(self._streams.popleft())

    def _put_batch(self) -> None:
        batch, self._batch = self._batch, _Batch()
        self._put(reply(Reply.ENDED, b"".join((*batch.records, *batch.outputs)), len(batch.records)))

    def _put(self, frame: bytes) -> None:
        self._outgoing.append(memoryview(frame))
        self._outgoing_bytes += len(frame)
