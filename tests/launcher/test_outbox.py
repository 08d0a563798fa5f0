"""What a helper tells its worker: batches, streams, their order on the wire, and the files they are read from."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import tempfile
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpifarm import files
from mpifarm.launcher import frames
from mpifarm.launcher.frames import REPLY, Order, Reply
from mpifarm.launcher.outbox import BACKLOG_BYTES, BATCH_BYTES, BATCH_ENDS, BATCH_S, CHUNK_BYTES, Outbox, Stream

RECORD_BYTES = 8
LONG = 3 * CHUNK_BYTES + 5

Pair = tuple[Outbox, socket.socket]


def new_pair() -> tuple[Outbox, socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    return Outbox(theirs), ours, theirs


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Return an outbox and the worker's end of its connection."""
    outbox, ours, theirs = new_pair()
    with ours, theirs:
        yield outbox, ours


@pytest.fixture
def unnamed() -> Iterator[int]:
    descriptor = files.open_unnamed()
    yield descriptor
    os.close(descriptor)


def record(number: int) -> bytes:
    return number.to_bytes(RECORD_BYTES, "little")


def stream_of(descriptor: int, size: int, number: int = 1) -> Stream:
    def broken(error: OSError, sent: int) -> tuple[bytes, bytes]:
        return record(number + 100), f"{error} behind {sent}".encode()

    return Stream(0, descriptor, size, record(number), b"err", broken)


def arrived(connection: socket.socket) -> bytes:
    """Return what can be read without waiting."""
    received = b""
    with contextlib.suppress(BlockingIOError):
        while part := connection.recv(1 << 20):
            received += part
    return received


def split(received: bytes) -> list[tuple[Reply, int, bytes]]:
    """Return the kind, number of records and body of each frame."""
    found = []
    while received:
        kind, records, length = REPLY.unpack_from(received)
        found.append((Reply(kind), records, received[REPLY.size : REPLY.size + length]))
        assert len(found[-1][2]) == length
        received = received[REPLY.size + length :]
    return found


def drain(outbox: Outbox, connection: socket.socket) -> bytes:
    received = b""
    while outbox.eager:
        outbox.send()
        received += arrived(connection)
    return received


@pytest.mark.parametrize(
    ("ends", "output", "age_s", "idle", "goes"),
    [
        (1, b"", 0.0, True, True),
        (0, b"", 0.0, True, False),
        (1, b"", 0.0, False, False),
        (1, b"", BATCH_S * 0.9, False, False),
        (1, b"", BATCH_S, False, True),
        (BATCH_ENDS - 1, b"", 0.0, False, False),
        (BATCH_ENDS, b"", 0.0, False, True),
        (1, bytes(BATCH_BYTES - RECORD_BYTES - 1), 0.0, False, False),
        (1, bytes(BATCH_BYTES - RECORD_BYTES), 0.0, False, True),
    ],
)
def test_a_batch_goes_when_it_is_large_or_old_or_nothing_else_is_to_do(
    pair: Pair, ends: int, output: bytes, age_s: float, idle: bool, goes: bool
) -> None:
    outbox, worker = pair
    for number in range(ends):
        outbox.add(record(number), output, now=100.0)
    outbox.close_batch(100.0 + age_s, idle)
    body = b"".join(map(record, range(ends))) + output * ends
    assert split(drain(outbox, worker)) == ([(Reply.ENDED, ends, body)] if goes else [])


def test_a_batch_is_due_when_its_first_end_has_waited(pair: Pair) -> None:
    outbox, _ = pair
    assert outbox.due_at == math.inf
    outbox.add(record(1), b"", now=100.0)
    outbox.add(record(2), b"", now=100.01)
    assert outbox.due_at == 100.0 + BATCH_S
    outbox.close_batch(100.0 + BATCH_S, idle=False)
    assert outbox.due_at == math.inf


def test_a_batch_that_must_wait_for_the_end_of_a_stream_wakes_nobody(pair: Pair, unnamed: int) -> None:
    outbox, worker = pair
    os.ftruncate(unnamed, LONG * 10)
    outbox.add_stream(stream_of(unnamed, LONG * 10))
    outbox.send()  # until the worker takes no more
    outbox.add(record(2), b"", now=100.0)
    outbox.close_batch(200.0, idle=True)
    assert outbox.due_at == math.inf  # a time that is past would be polled for again and again
    drain(outbox, worker)
    assert outbox.due_at < math.inf
    outbox.close_batch(200.0, idle=True)
    assert split(drain(outbox, worker)) == [(Reply.ENDED, 1, record(2))]


def test_what_was_reported_before_a_stream_goes_before_it(pair: Pair, unnamed: int) -> None:
    outbox, worker = pair
    os.write(unnamed, b"x" * LONG)
    outbox.add(record(1), b"short", now=0.0)
    outbox.add_stream(stream_of(unnamed, LONG, number=2))
    whole = [CHUNK_BYTES] * 3 + [LONG % CHUNK_BYTES]
    assert split(drain(outbox, worker)) == [
        (Reply.ENDED, 1, record(1) + b"short"),
        *((Reply.CHUNK, 0, b"x" * size) for size in whole),
        (Reply.ENDED, 1, record(2) + b"err"),
    ]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("short"), st.integers(0, 100)),
        st.tuples(st.just("long"), st.integers(1, 2 * CHUNK_BYTES)),
        st.tuples(st.just("close"), st.booleans()),
        st.tuples(st.just("take"), st.integers(1, CHUNK_BYTES)),
    ),
    max_size=30,
)


@given(STEPS)
def test_every_end_arrives_once_with_its_own_output_however_the_worker_reads(steps: list[tuple[str, int]]) -> None:
    outbox, ours, theirs = new_pair()
    outputs: list[bytes] = []
    received = b""
    over: list[Stream] = []
    with ours, theirs, tempfile.TemporaryFile() as file:
        os.write(file.fileno(), bytes(range(256)) * (2 * CHUNK_BYTES // 256))
        for number, (step, value) in enumerate(steps):
            if step == "short":
                outbox.add(record(len(outputs)), value.to_bytes(1, "little") * value, float(number))
                outputs.append(value.to_bytes(1, "little") * value)
            elif step == "long":
                outbox.add_stream(replace(stream_of(file.fileno(), value, len(outputs)), err=b""))
                outputs.append(os.pread(file.fileno(), value, 0))
            elif step == "close":
                outbox.close_batch(float(number), idle=bool(value))
            else:
                over += outbox.send()
                with contextlib.suppress(BlockingIOError):
                    received += ours.recv(value)
        while outbox.eager or outbox.due_at < math.inf:
            outbox.close_batch(1e9, idle=True)
            over += outbox.send()
            received += arrived(ours)
        received += arrived(ours)
    assert len(over) == sum(step == "long" for step, _ in steps)
    assert ends_of(split(received), outputs) == set(range(len(outputs)))


def ends_of(told: list[tuple[Reply, int, bytes]], outputs: list[bytes]) -> set[int]:
    """Return the numbers of the records, having compared what came with each of them."""
    seen: set[int] = set()
    streamed = b""
    for kind, records, body in told:
        if kind is Reply.CHUNK:
            streamed += body
            continue
        numbers = [int.from_bytes(body[at * RECORD_BYTES :][:RECORD_BYTES], "little") for at in range(records)]
        assert len(numbers) == 1 or not streamed, "chunks belong to the one record behind them"
        assert streamed + body[records * RECORD_BYTES :] == b"".join(outputs[number] for number in numbers)
        assert not seen & set(numbers)
        seen |= set(numbers)
        streamed = b""
    assert not streamed
    return seen


def test_a_stream_is_never_in_memory_as_a_whole(pair: Pair, unnamed: int) -> None:
    outbox, worker = pair
    os.ftruncate(unnamed, 64 * CHUNK_BYTES)
    taken = 0
    tracemalloc.start()
    try:
        outbox.add_stream(stream_of(unnamed, 64 * CHUNK_BYTES))
        while outbox.eager:
            outbox.send()
            taken += len(arrived(worker))
        assert tracemalloc.get_traced_memory()[1] < 16 * CHUNK_BYTES
    finally:
        tracemalloc.stop()
    assert taken > 64 * CHUNK_BYTES


def test_a_stream_frees_its_slot_when_the_last_byte_has_left_its_file(pair: Pair, unnamed: int) -> None:
    outbox, worker = pair
    os.ftruncate(unnamed, LONG * 10)
    stream = stream_of(unnamed, LONG * 10)
    outbox.add_stream(stream)
    assert outbox.send() == []  # it does not fit into a socket
    over: list[Stream] = []
    while outbox.eager:
        arrived(worker)
        over += outbox.send()
    assert over == [stream]


@pytest.mark.parametrize("left", [0, CHUNK_BYTES, CHUNK_BYTES + 1, LONG - 1])
def test_a_file_that_cannot_be_read_to_its_end_makes_a_failure_and_the_next_stream_goes_on(
    pair: Pair, unnamed: int, left: int
) -> None:
    """Zeros in its place would be a result."""
    outbox, worker = pair
    os.write(unnamed, b"x" * LONG)
    broken = stream_of(unnamed, LONG)
    outbox.add_stream(broken)
    with tempfile.TemporaryFile() as other:
        os.write(other.fileno(), b"other")
        outbox.add_stream(stream_of(other.fileno(), 5, number=2))
        os.ftruncate(unnamed, left)
        *chunks, end, other_chunk, other_end = split(drain(outbox, worker))
    assert all(chunk == (Reply.CHUNK, 0, b"x" * CHUNK_BYTES) for chunk in chunks)
    assert len(chunks) == left // CHUNK_BYTES
    assert end[:2] == (Reply.ENDED, 1)
    assert end[2].startswith(record(101))
    assert b"not there any more of what was written" in end[2]
    assert end[2].endswith(b" behind %d" % (len(chunks) * CHUNK_BYTES)), "whoever has kept the chunks knows whose they are"
    assert (other_chunk, other_end) == ((Reply.CHUNK, 0, b"other"), (Reply.ENDED, 1, record(2) + b"err"))


def test_a_disk_that_fails_makes_a_failure(pair: Pair, unnamed: int) -> None:
    outbox, worker = pair
    outbox.add_stream(stream_of(os.open(os.devnull, os.O_WRONLY), LONG))
    ((kind, records, body),) = split(drain(outbox, worker))
    assert (kind, records, body[:RECORD_BYTES]) == (Reply.ENDED, 1, record(101))


def test_an_outbox_is_full_until_the_worker_has_taken_enough(pair: Pair) -> None:
    outbox, worker = pair
    for number in range(BACKLOG_BYTES // BATCH_BYTES):
        assert not outbox.full
        outbox.add(record(number), bytes(BATCH_BYTES), now=0.0)
        outbox.close_batch(0.0, idle=False)
    assert outbox.full
    drain(outbox, worker)
    assert not outbox.full


def test_a_worker_that_is_gone_is_noticed() -> None:
    outbox, ours, theirs = new_pair()
    with theirs:
        ours.close()
        outbox.add_trouble("no place")
        with pytest.raises(ConnectionError):
            outbox.send()


def test_trouble_is_told_as_text(pair: Pair) -> None:
    outbox, worker = pair
    outbox.add_trouble("no place: ü")
    assert split(drain(outbox, worker)) == [(Reply.TROUBLE, 0, "no place: ü".encode())]


def test_the_example_of_a_start_is_41_bytes_long() -> None:
    frame = frames.order(Order.START, frames.ENTRY.pack(432, 18, 1, 3.0, 9) + b"make soup")
    assert (
        frame
        == bytes.fromhex("02 29000000 b001000000000000 1200000000000000 01000000 0000000000000840 09000000") + b"make soup"
    )
