"""What has changed in a list, as the person sees it who has edited it: what is found, and the sentences."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lists import at_will, lines_of, tfin_of, write

from mpifarm.tasks import changes, edits, wording
from mpifarm.tasks.changes import Change, What

DATA = Path(__file__).parents[1] / "data"
S = [b"./align.sh S%d > out.S%d" % (number, number) for number in range(1, 41)]
NUMBERS = st.lists(
    st.integers(0, 30).map(b"./run %d".__mod__) | st.sampled_from([b"# c", b" # c", b"#./run 3", b" #./run 4", b"", b"\r"]),
    max_size=30,
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def found(old: bytes, new: bytes, between: Callable[[], object] = at_will) -> list[Change]:
    tasklist = write(new)
    before, after = tfin_of(old), tfin_of(new)
    descriptors = [os.memfd_create("tfin") for _ in range(2)]
    try:
        for descriptor, content in zip(descriptors, (before, after), strict=True):
            os.write(descriptor, content)
        kept = edits.compare(descriptors[0], len(before), descriptors[1], len(after))
        return list(changes.find(tasklist, descriptors[0], len(before), kept, between))
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def said(old: Sequence[bytes], new: Sequence[bytes]) -> list[str]:
    before, after = (b"".join(line + b"\n" for line in lines) for lines in (old, new))
    return wording.sentences(found(before, after))


def edited(*edits: tuple[int, int, Sequence[bytes]]) -> list[bytes]:
    """Return S with slices replaced, the last one first."""
    new = list(S)
    for start, end, lines in edits:
        new[start:end] = lines
    return new


LONG = b"./run --input /a/very/long/path/that/goes/on/and/on/and/on/and/on/%d/data.txt --and-more-that-follows-it"


@pytest.mark.parametrize(
    ("new", "sentences"),
    [
        (S, []),
        (edited((32, 33, [b"#" + S[32]])), ['line 33 was "./align.sh S33 > out.S33", and is a comment now']),
        (edited((32, 33, [b"  ## " + S[32]])), ['line 33 was "./align.sh S33 > out.S33", and is a comment now']),
        (
            edited((32, 33, [b"# broken:", b"# " + S[32]])),
            ['line 34 was "./align.sh S33 > out.S33", and is a comment now'],
        ),
        (
            [b"# head", *edited((6, 7, [b"./align.sh S7 --lenient > out.S7"]))],
            ['line 8 was "./align.sh S7 > out.S7", and is "./align.sh S7 --lenient > out.S7" now'],
        ),
        (edited((8, 9, [])), ['task 9 ("./align.sh S9 > out.S9") is gone']),
        (edited((13, 13, [b"b"]), (2, 2, [b"a"])), ["2 lines are new (3, 15)"]),
        (edited((2, 2, [b"a"])), ['line 3 ("a") is new']),
        (S[:37], ["3 tasks are gone (38-40)"]),
        (
            [*S[:37], S[37][:9]],
            ['line 38 was "./align.sh S38 > out.S38", and is "./align.s" now', "2 tasks are gone (39-40)"],
        ),
        (
            edited((16, 36, S[20:36] + S[16:20])),
            ["4 lines have moved (33-36)"],
        ),
        ([*edited((5, 6, [])), S[5]], ["1 line has moved (40)"]),
        (edited((8, 8, [b""])), ["1 line without a task is new (9)"]),
        (edited((8, 8, [b" # note"])), ["1 line without a task is new (9)"]),
        (edited((8, 8, [b"# note"])), []),
        (
            [line + b"\r" for line in S[:1]] + S[1:],
            ['line 1, "./align.sh S1 > out.S1", was written with other bytes, which do not show'],
        ),
        (edited((1, 2, [b"x\x1b[2J\ty"])), ['line 2 was "./align.sh S2 > out.S2", and is "x?[2J?y" now']),
        (
            [line.replace(b" >", b" -l >") for line in S],
            [
                *(
                    f'line {number} was "./align.sh S{number} > out.S{number}",'
                    f' and is "./align.sh S{number} -l > out.S{number}" now'
                    for number in (1, 2, 3)
                ),
                "37 more lines have changed (4-40)",
            ],
        ),
        (
            [b"#" + line if at % 2 else line for at, line in enumerate(S)],
            [
                *(
                    f'line {number} was "./align.sh S{number} > out.S{number}", and is a comment now'
                    for number in (2, 4, 6)
                ),
                "17 more lines are comments now (8, 10, 12, 14, ...)",
            ],
        ),
        (
            edited((9, 12, [b"./align.sh S11 -x > out.S11"])),
            [
                'line 10 was "./align.sh S11 > out.S11", and is "./align.sh S11 -x > out.S11" now',
                "2 tasks are gone (10, 12)",
            ],
        ),
    ],
)
def test_of_an_edited_list(new: list[bytes], sentences: list[str]) -> None:
    assert said(S, new) == sentences


def test_of_long_lines_what_differs_is_shown() -> None:
    (sentence,) = said([LONG % 1], [LONG % 2])
    assert sentence == (
        'line 1 was "...nd/on/and/on/and/on/1/data.txt --and-more-that-follows-it",'
        ' and is "...nd/on/and/on/and/on/2/data.txt --and-more-that-follows-it" now'
    )


def test_of_the_list_of_an_example() -> None:
    before, after = (DATA / f"edited-{which}.txt" for which in ("before", "after"))
    assert wording.sentences(found(before.read_bytes(), after.read_bytes())) == [
        'line 5 was "./align.sh S4 > out.S4", and is a comment now',
        'line 8 was "./align.sh S7 > out.S7", and is "./align.sh S7 --lenient > out.S7" now',
        'task 9 ("./align.sh S9 > out.S9") is gone',
        'line 3 ("./align.sh S13 > out.S13") is new',
    ]


@given(NUMBERS, NUMBERS, st.sampled_from([0, 3, changes.ONE_BY_ONE]), st.sampled_from([0, 500, changes.MOST_BYTES]))
def test_every_line_is_accounted_for(old: list[bytes], new: list[bytes], lines: int, most: int) -> None:
    before, after = b"\n".join(old), b"\n".join(new)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changes, "ONE_BY_ONE", lines)
        patch.setattr(changes, "MOST_BYTES", most)
        told = found(before, after)
    count = {what: sum(change.count for change in told if change.what is what) for what in What}
    come = count[What.NEW] + count[What.NO_TASK_NEW] - count[What.GONE] - count[What.NO_TASK_GONE]
    hidden = sum(after.split(b"\n")[change.first - 1][:1] == b"#" for change in told if change.what is What.COMMENTED)
    assert come - hidden == len(lines_of(after)) - len(lines_of(before))
    text = after.split(b"\n")
    for change in told:
        if change.count == 1 and change.new:
            assert text[change.first - 1] == change.new
        if change.what is What.MOVED:
            assert text[change.first - 1] in old


@pytest.mark.long
def test_memory_does_not_grow_with_what_has_changed() -> None:
    peaks = []
    for count in (20_000, 80_000):
        lines = [b"./run %d" % number for number in range(count)]
        old, new = (
            b"".join(line + b"\n" for line in side)
            for side in (lines, [line + b" -x" * (at % 2) for at, line in enumerate(lines)])
        )
        tasklist = write(new)
        Path("old").write_bytes(tfin_of(old))
        Path("new").write_bytes(tfin_of(new))
        with Path("old").open("rb") as before, Path("new").open("rb") as after:
            sizes = [os.fstat(file.fileno()).st_size for file in (before, after)]
            kept = edits.compare(before.fileno(), sizes[0], after.fileno(), sizes[1])
            tracemalloc.start()
            sentences = wording.sentences(changes.find(tasklist, before.fileno(), sizes[0], kept))
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert sentences[0] == 'line 2 was "./run 1", and is "./run 1 -x" now'
        assert sentences[3].startswith(f"{count // 2 - 3} more lines have changed (8, 10, 12, 14, ...)")
    assert peaks[1] < 1.2 * peaks[0]


def test_somebody_is_called_now_and_then() -> None:
    called: list[int] = []
    found(b"echo\n", b"echo\n" * (2 * changes._PAUSE_LINES), lambda: called.append(1))
    assert len(called) >= 2
