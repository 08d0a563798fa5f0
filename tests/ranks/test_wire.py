"""The messages: what is packed is what is unpacked, and the layouts are those of the documents."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpifarm import FarmError, ended
from mpifarm.ranks import wire
from mpifarm.ranks.wire import Note, Stop
from mpifarm.site.offer import Offer

INT64 = st.integers(0, 2**63 - 1)
INT32 = st.integers(0, 2**31 - 1)


def test_a_grant_costs_28_bytes_a_task() -> None:
    message = wire.pack_grant([432, 983], [26, 26], [18, 40], [1, 3])
    assert message.tobytes() == struct.pack("<qqqiqqqi", 432, 26, 18, 1, 983, 26, 40, 3)


@given(st.lists(st.tuples(INT64, INT64, INT64, INT32), max_size=50))
def test_grants_come_back(tasks: list[tuple[int, int, int, int]]) -> None:
    columns = list(zip(*tasks, strict=True)) or [(), (), (), ()]
    assert wire.unpack_grant(wire.pack_grant(*columns)).tolist() == tasks


@given(INT64, INT32, st.sampled_from(Note), st.integers(0, 7), st.lists(st.tuples(INT64, st.binary(max_size=20))))
def test_reports_come_back(seen: int, credit: int, notes: Note, lane: int, ends: list[tuple[int, bytes]]) -> None:
    records = np.zeros(len(ends), dtype=wire.ENDED)
    records["offset"] = [offset for offset, _ in ends]
    written = b"".join(output for _, output in ends)
    report = wire.unpack_report(wire.pack_report(seen, credit, notes, lane, len(ends), records.tobytes() + written))
    assert (report.seen, report.credit, report.notes, report.lane) == (seen, credit, notes, lane)
    assert report.ended.tolist() == records.tolist()
    assert bytes(report.output) == written


@given(INT32, INT32, INT64, st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=256))
def test_a_hello_comes_back(slots: int, cpus: int, memory_kib: int, node: str) -> None:
    hello = Offer(slots, cpus, cpus // 2, node, cpus, memory_kib)
    assert wire.unpack_hello(wire.pack_hello(hello)) == hello


@pytest.mark.parametrize("size", [0, 3, 4, 20])
def test_the_hello_of_another_version_is_refused(size: int) -> None:
    with pytest.raises(FarmError, match="one version of mpifarm"):
        wire.unpack_hello(np.full(size, 99, dtype=np.uint8))


def test_a_hello_of_another_protocol_is_refused() -> None:
    message = wire.pack_hello(Offer(1, 1, 1, "a")).copy()
    message[0] += 1
    with pytest.raises(FarmError, match=f"protocol {wire.PROTOCOL + 1}"):
        wire.unpack_hello(message)


@pytest.mark.parametrize("how", Stop)
def test_stops_come_back(how: Stop) -> None:
    assert wire.unpack_stop(wire.pack_stop(how)) is how


def test_helper_and_wire_mean_the_same_record() -> None:
    """The helper packs with struct what the manager reads with numpy."""
    values = [(number + 1) * 3 for number in range(len(ended.FIELDS))]
    record = np.frombuffer(ended.STRUCT.pack(*values), dtype=wire.ENDED)
    assert record.dtype.names == tuple(name for name, _ in ended.FIELDS)
    assert list(record[0].tolist()) == values
