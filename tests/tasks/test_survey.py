"""All that is wrong in a list: each kind, where it is, and how often; the same that a start says, of all lines."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpifarm.tasks import faults, tfin
from mpifarm.tasks.faults import Fault
from mpifarm.tasks.looks import Looks, Survey
from mpifarm.tasks.survey import survey

DASH = shutil.which("dash") or "/bin/sh"
PATH = "/usr/bin:/bin"
TFIN = Path("tasks.txt.tfin")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def look(content: bytes, **options: Any) -> Survey:
    Path("tasks.txt").write_bytes(content)
    before = sorted(Path().iterdir())
    found = survey(Path("tasks.txt"), TFIN, Looks(DASH, PATH, (), **options))
    assert sorted(Path().iterdir()) == before
    return found


def numbers(found: Survey) -> dict[str, tuple[int, ...]]:
    return {fault.name: tuple(place.number for place in tally.places) for fault, tally in found.tallies.items()}


@pytest.mark.parametrize(
    ("content", "where", "errors"),
    [
        (b"true\n", {}, 0),
        (b"", {}, 0),
        (b"# a\n\n  # b\n \t\r\n", {"LINE_END": (4,)}, 0),
        (b"true\r\ntrue 1\r\n", {"LINE_END": (1, 2)}, 0),
        (b"true\rtrue 2\n", {"RETURN": (1,)}, 1),
        (b"\xef\xbb\xbftrue\ntrue 1\n", {"MARK": (1,)}, 0),
        (b"true\n# a \0\ntrue \0\n", {"NUL": (3,)}, 1),
        (b"\xff\xfet\0r\0u\0e\0\n\0", {"ENCODING": (1,)}, 1),
        (b"true\necho 'a\n", {"NO_TASK": (2,)}, 1),
        (b"true \\\n", {"NO_TASK": (1,)}, 1),
        (b"true\necho )\n", {"SYNTAX": (2,)}, 0),
        (b"true\n./fit 1\n./fit 2\nno-such-tool\n", {"PROGRAM": (2, 4)}, 0),
        (b"true 1 > out\ntrue 2 > out\n", {"ONE_FILE": (2,)}, 0),
        (b"true 1 >> out\ntrue 2 >> out\n", {}, 0),
        (b"true\n# c\ntrue\n", {"EQUAL": (3,)}, 0),
        (b"true > out\ntrue > out\n", {"EQUAL": (2,)}, 0),
        (b"true &> out\n", {"BASH": (1,)}, 0),
        (b"true &\n", {"BACKGROUND": (1,)}, 0),
        (b"cd sub\n", {"ALONE": (1,)}, 0),
        (b"#DISBATCH BARRIER\ntrue\n", {"DIRECTIVE": (1,)}, 1),
        (b"#SBATCH -N 2\ntrue\n", {}, 0),
        (b"#SBATCH -N 2\n", {"DIRECTIVE": (1,)}, 1),
        (b"true $DISBATCH_INDEX\n", {"FOREIGN": (1,)}, 1),
    ],
)
def test_each_kind_and_where_it_is(content: bytes, where: dict[str, tuple[int, ...]], errors: int) -> None:
    found = look(content)
    assert (numbers(found), found.errors()) == (where, errors)


def test_a_step_of_a_task_is_told_with_what_it_needs() -> None:
    found = look(b"srun -n1 true\nsrun --overlap -n1 true\nmpirun true\n")
    (one, two) = found.tallies[Fault.STEP].places
    assert (one.number, two.number) == (1, 3)
    assert "start the farm with srun --overlap" in one.said


def test_lines_in_the_middle_of_a_long_list_are_looked_at_and_counted() -> None:
    lines = [b"true %d\n" % number for number in range(150_000)]
    for number in (70_000, 70_001, 75_000, 80_000, 90_000):
        lines[number] = b"wait # %d\n" % number
        lines[number + 10] = b"echo ) %d\n" % number
    found = look(b"".join(lines))
    assert found.tasks == 150_000
    assert numbers(found) == {"NO_TASK": (70_001, 70_002, 75_001), "SYNTAX": (70_011, 70_012, 75_011)}
    assert {fault.name: tally.count for fault, tally in found.tallies.items()} == {"NO_TASK": 5, "SYNTAX": 5}


def test_what_is_settled_of_a_shape_is_counted_all_the_same() -> None:
    found = look(b"".join(b"true x%d &\n" % number for number in range(40_000)))
    tally = found.tallies[Fault.BACKGROUND]
    assert (len(tally.places), tally.count) == (faults.SHOWN, 40_000)


LINES = [
    *(b"./fit %d --x %d", b"./fit x%d > out%d", b"cd r%d", b"echo $%d", b"./a 2>&%d", b"for i%d in %d; do", b"wait"),
    *(
        b"echo ${%d#%d}",
        b"./a%d &",
        b"./a &> o%d",
        b"export A=%d",
        b"echo 'a%d",
        b"[[ a == %d ]]",
        b"A%d=%d",
        b"f%d() { %d; }",
    ),
    *(b"printf {%d}", b"echo a%d#%d"),
]


@given(st.lists(st.tuples(st.sampled_from(LINES), st.integers(0, 99), st.integers(0, 99)), max_size=60))
def test_what_is_remembered_of_an_outline_changes_nothing(lines: list[tuple[bytes, int, int]]) -> None:
    content = b"".join((line % (one, other)[: line.count(b"%d")]) + b"\n" for line, one, other in lines)
    Path("tasks.txt").write_bytes(content)
    looks = Looks("/nowhere/sh", PATH, ())  # a shell that is not asked: that takes longer than all the rest
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tfin, "CHUNK_BYTES", 64)
        remembered = survey(Path("tasks.txt"), TFIN, looks)
        patch.setattr("mpifarm.tasks.survey._MOST_OUTLINES", 0)
        patch.setattr("mpifarm.tasks.repeats._MOST_OUTLINES", 0)
        assert remembered == survey(Path("tasks.txt"), TFIN, looks)


def test_many_errors_of_syntax_are_at_least_so_many() -> None:
    tally = look(b"".join(b"echo ) %d\n" % number for number in range(1000))).tallies[Fault.SYNTAX]
    assert not tally.exact
    assert tally.count >= 50


def test_options_accept_what_they_accept_at_a_start() -> None:
    content = b"#DISBATCH BARRIER\ntrue $DISBATCH_INDEX\nwait\ntrue\rx\n"
    assert look(content).errors() == 4
    assert look(content, anyway=True).errors() == 1
    assert look(content, ignore_directives=True).errors() == 2
    assert look(content, anyway=True, ignore_directives=True).errors() == 0


@pytest.mark.parametrize(
    ("before", "differs_at"),
    [
        (b"> true 1\n> true 2\n", None),
        (b"> true 1\n", 9),
        (b"> true 1\n> true 3\n", 16),
        (b"> true 1\n> true 2\n> true 3\n", 18),
    ],
)
def test_where_the_list_differs_from_the_one_that_was_dealt(before: bytes, differs_at: int | None) -> None:
    TFIN.write_bytes(before)
    assert look(b"true 1\n# c\ntrue 2\n").differs_at == differs_at
