"""The joblog is read line by line, however it was torn, and no line that is not ours counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpifarm import FarmError
from mpifarm.journal.lines import JOBLOG_HEADER
from mpifarm.view import attempts

LINE = b"18\tnid0001\t1795344287.123\t0.004\t0\t8\t3\t9\t1\t2\t1824\t0.001\t0.002\t432\techo 17\t>&2; exit 3\n"
OTHERS = [
    b"1\tnid1\t1795344287.123\t     0.004\t0\t8\t3\t0\techo 17\n",  # GNU Parallel's
    b"\n",
    b"\0\0\0\0\n",
    LINE.replace(b"1824", b"18x4"),
    LINE.replace(b"0.004", b"0004"),
    LINE.replace(b"\t432\t", b"\t\t"),
    LINE.replace(b"\t432\t", b"\t" + b"9" * 40 + b"\t"),
    LINE.replace(b"\t0.004", b"\t-.004"),
]


def read(content: bytes, directory: Path) -> attempts.Attempts:
    path = directory / "joblog"
    path.write_bytes(content)
    return attempts.read(path)


def test_a_line_is_read_column_by_column(tmp_path: Path) -> None:
    found = read(JOBLOG_HEADER + LINE, tmp_path)
    (row,) = found.rows
    assert {name: row[name].item() for name in ("seq", "offset", "exit", "signal", "attempt", "slot", "rss_kib")} == {
        "seq": 18, "offset": 432, "exit": 3, "signal": 9, "attempt": 1, "slot": 2, "rss_kib": 1824,
    }  # fmt: skip
    assert (row["start"], row["seconds"], row["user_s"], row["system_s"]) == (1795344287.123, 0.004, 0.001, 0.002)
    assert found.nodes == ["nid0001"]
    assert found.commands([0]) == [b"echo 17\t>&2; exit 3"]
    assert not found.bad


def test_a_task_that_is_no_longer_in_the_list_has_the_numbers_0_and_minus_1(tmp_path: Path) -> None:
    line = LINE.replace(b"18\t", b"0\t", 1).replace(b"\t432\t", b"\t-1\t")
    (row,) = read(JOBLOG_HEADER + line, tmp_path).rows
    assert (row["seq"], row["offset"]) == (0, -1)


@pytest.mark.parametrize("other", OTHERS)
def test_a_line_of_somebody_else_is_counted_and_nothing_more(other: bytes, tmp_path: Path) -> None:
    found = read(JOBLOG_HEADER + LINE + other + LINE, tmp_path)
    assert (found.rows.size, found.bad) == (2, 1)


def test_nothing_but_lines_of_somebody_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FarmError, match="2 lines, and none"):
        read(JOBLOG_HEADER + OTHERS[0] * 2, tmp_path)


def test_the_joblog_of_another_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FarmError, match=":1: not the header"):
        read(b"Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n" + OTHERS[0], tmp_path)


@given(lines=st.lists(st.sampled_from([LINE, LINE.replace(b"nid0001", b"n2"), *OTHERS[2:5]]), max_size=8), cut=st.data())
def test_a_torn_joblog_has_the_whole_lines(
    lines: list[bytes], cut: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = JOBLOG_HEADER + LINE + b"".join(lines)
    size = cut.draw(st.integers(len(JOBLOG_HEADER + LINE), len(whole)))
    zeros = cut.draw(st.sampled_from([b"", bytes(100)]))
    kept = whole[:size].split(b"\n")[1:-1]
    ours = sum(line.count(b"\t") >= 14 and b"18x4" not in line and b"0004" not in line for line in kept)
    found = read(whole[:size] + zeros, tmp_path_factory.mktemp("torn"))
    assert (found.rows.size, found.bad) == (ours, len(kept) - ours)


def test_a_command_may_be_longer_than_what_is_read_at_once(tmp_path: Path) -> None:
    long = LINE.replace(b"echo 17", b"x" * (3 << 20))
    found = read(JOBLOG_HEADER + LINE + long + LINE, tmp_path)
    assert found.rows["seq"].tolist() == [18, 18, 18]
    assert [len(command) for command in found.commands([0, 1, 2])] == [19, (3 << 20) + 12, 19]


def test_the_attempts_of_one_task_are_those_that_all_have_of_it(tmp_path: Path) -> None:
    lines = [LINE.replace(b"18\t", b"%d\t" % seq, 1) for seq in (18, 8, 1, 818, 18, 180, 1, 18)]
    lines[2:2] = OTHERS
    lines.append(LINE.replace(b"echo", b"\t18\techo"))
    whole = read(JOBLOG_HEADER + b"".join(lines), tmp_path)
    for chunk_bytes in (16, 10**6):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(attempts, "_CHUNK_BYTES", chunk_bytes)
            for seq, count in ((18, 4), (8, 1), (1, 2), (818, 1), (2, 0)):
                some = attempts.of_task(whole.path, seq)
                assert some.rows.tolist() == whole.rows[whole.rows["seq"] == seq].tolist()
                assert some.rows.size == count
