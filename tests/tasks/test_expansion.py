"""What a template makes of rows: beside GNU Parallel, byte for byte; in a shell; and as a list."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gnuparallel
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shells import result

from mpifarm import FarmError
from mpifarm.settings import Each
from mpifarm.tasks import combinations, rows, tfin
from mpifarm.tasks.combinations import Combinations
from mpifarm.tasks.expansion import Expansion
from mpifarm.tasks.ranges import Range
from mpifarm.tasks.rows import Lines


def expanded(each: Each, source: rows.Rows) -> bytes:
    return b"".join(Expansion(each, source).chunks())


def of_file(tmp_path: Path, each: Each, content: bytes, name: str = "args.txt") -> bytes:
    (tmp_path / name).write_bytes(content)
    return expanded(each, Lines(str(tmp_path / name)))


@dataclass(frozen=True)
class Beside:
    """Templates, each of which makes of the same rows what GNU Parallel makes of them."""

    name: str
    sources: list[str]  # as on a command line; `args` is a file
    templates: list[str]
    args: bytes = b""
    colsep: str | None = None
    header: bool = False
    long: bool = True

    @property
    def options(self) -> list[str]:
        return [
            *(["--colsep", self.colsep] if self.colsep is not None else []),
            *(["--header", ":"] if self.header else []),
        ]

    def ours(self, template: str) -> list[bytes]:
        made = expanded(Each(template, self.colsep, self.header), Combinations(self.sources)).split(b"\n")[:-1]
        return made[self.header and "args" in self.sources :]


ODD = b"""a b
it's
'
''
'a'
"x"
$HOME
`id`
\\n
a;b&c|d
<x>
(y)
[z]*?
~
#c
!e
a=b
a:b
%s
,
@
^
{1}
{}
--x
-
a\rb
\xe9t\xe9
\xc3\xa9
\xff\xaf
\x01\x7f
 both\x20
plain-_.+/9
"""
PATHS = b"""a
a.txt
/a/b.c
a/b/
a.b/c
a/.x
.x
..
../x
/
//
//x
a//b
a/b//
./
a/b.c.d
a b/c d.e f
x.
.
a./b
"""
TABLE = [
    Beside(
        "characters",
        ["::::", "args"],
        ["x {}", "x {1}", "x a{}b", "x {}{}", "x -o{1} {-1}", "X={}", "x {#}{1}"],
        ODD,
        long=False,
    ),
    Beside(
        "paths",
        ["::::", "args"],
        ["x {.}", "x {/}", "x {//}", "x {/.}", "x {1.}", "x {1/}", "x {1//}", "x {1/.}", "x {-1.}", "x {} > {/.}.out"],
        PATHS,
    ),
    Beside(
        "numbers",
        [":::", "a", "b c", "d"],
        [
            *("x {#}", "x {01}", "x {1 }", "x {1 .}", "x {-1 /}", "x {}   y  ", "x\t{}", "x 50% {} %d %b %%", " x {}"),
            *("x {} # {}", "x {}; y {}", "x {} | y", "x && y {}", "x $(y {})", "x `y z` {}", "(x {})", "{ x {}; }"),
            *("x {}&& y", "x > {}", "x {} 2>&1", "x --a={} --b={#}", "x {},{}", "x {{}}", "x $y {}", "x ${y}{}",
            "x ${y%.z} {}"),
        ],
        long=False,
    ),
    Beside(
        "of the shell",
        [":::", "a", "b"],
        [
            *("x {} {a,b}", "x {} {1..3}", "x {} {a..c}", "x {} {,}", "x {} awk '{print $1}'", "x {} awk '{print}'"),
            *("x {} '{..}'", "x {} { y; }", "x {} ${y}", "x {} ${y:-z}", 'x {} "${y}"', "x {} \\{\\}", "x {} {", "x {} }"),
            *("x {} { }", "x {} {}{", "x {} {1,2}", "x {} '{0,1}'", "x {} ${#y}", "x {} {-1..1}"),
        ],
    ),
    Beside(
        "in quotes",
        [":::", "plain", "a-b_c.d+e/f9"],
        ["x '{}'", 'x "{}"', "x 'a {1} b'", 'x "a {/} $y"', "x \\{}", "sh -c 'x {}'", "x $(( 1 + {#} ))", 'x "${y:-{}}"'],
        long=False,
    ),
    Beside(
        "comma",
        ["::::", "args"],
        ["x {1} {2} {3}", "x {}", "x {-1} {-2} {-3}", "x {3}{2}{1}", "x {2/.}", "x {.}", "x {/} {#}", "x {} {2}"],
        b"a,b,c\na b, c d ,e/f.g\n,,\n'a',\"b\",$c\n a\t,\tb , c\x0b\n",
        ",",
    ),
    Beside("tab", ["::::", "args"], ["x {1} {2}", "x {2} {1} {}"], b"a b\tc\n\t\nx\ty z\n", r"\t"),
    Beside("blanks", ["::::", "args"], ["x {1} {-1}", "x {}"], b"a  b c\n a\nd\tb\n", r"\s+"),
    Beside("expression", ["::::", "args"], ["x {1} {2} {3}"], b"a,b;c\na; b ,c\n", "[,;]", long=False),
    Beside("dot", ["::::", "args"], ["x {1} {2}"], b"a.b\n", r"\."),
    Beside("ragged", ["::::", "args"], ["x {1} {-1}", "x {}"], b"a,b\nc\nd,e,f\ng\n", ","),
    Beside("no separator", ["::::", "args"], ["x {1}", "x {}"], b" a \nb\n", ","),
    Beside(
        "header",
        ["::::", "args"],
        [
            *("x {temp} {name}", "x {temp.} {temp/} {temp//} {temp/.}", "x {2} {1} {-1}", "x {} {#}", "x {x y}", "x {a.b}"),
            *("x {name}{temp}", "x --t={temp}", "x > {name/.}.out", "x ${y} {temp}", "x awk '{ print }' {name}"),
        ],
        b"temp,name,x y,a.b\n/d/1.5,n,a b,q\n2,it's,,$x\n",
        ",",
        header=True,
    ),
    Beside("header of one", ["::::", "args"], ["x {f}", "x {f.}"], b"f\na.b\nc d\n", header=True),
    Beside("product", [":::", "a", "b c", ":::", "1", "2", ":::", "x", "y"], ["x {1} {2} {3}", "x {}", "x {3/} {#}"]),
    Beside("empty word", [":::", "a", "", ":::", "1"], ["x {1} {2}", "x {}", "x {1}"]),
    Beside("only an empty word", [":::", ""], ["x {}"]),
    Beside("linked", [":::", "a", "b", ":::+", "1", "2"], ["x {1} {2}", "x {}"], long=False),
    Beside("linked, then all", [":::", "a", "b", ":::+", "1", "2", ":::", "x", "y"], ["x {1} {2} {3}"], long=False),
    Beside("all of linked", [":::", "x", "y", ":::", "a", "b", ":::+", "1", "2"], ["x {1} {2} {3}"]),
    Beside("linked by three", [":::", "a", "b", ":::+", "1", "2", ":::+", "p", "q"], ["x {1} {2} {3}"]),
    Beside("files", ["::::", "args", "args"], ["x {1} {2}"], b"a\nb c\n"),
    Beside("file and words", ["::::", "args", ":::", "1", "2"], ["x {1} {2}"], b"a\nb c\n"),
    Beside("words and file", [":::", "1", "2", "::::", "args"], ["x {1} {2}"], b"a\nb c\n"),
    Beside("linked file", [":::", "1", "2", "::::+", "args"], ["x {1} {2}"], b"a\nb c\n"),
    Beside("product of columns", [":::", "a,b", "c,d", ":::", "1,2", "3,4"], ["x {1} {2} {3} {4}", "x {}"], colsep=","),
    Beside(
        "product with names", [":::", "f", "a", "b", ":::", "g", "1"], ["x {f} {g}", "x {g.} {#}"], header=True, long=False
    ),
    Beside("linked with names", [":::", "f", "a", "b", ":::+", "g", "1", "2"], ["x {f} {g}"], header=True),
    Beside("no end of line", ["::::", "args"], ["x {}"], b"a\nb c"),
]  # fmt: skip
APPENDED = ["x", "x  ", "x | y", "x >", "x \\{\\}", "x awk '{print}'", "x {a,b}", "x ${y}", "x '#'"]


def beside(case: Beside) -> object:
    return pytest.param(case, id=case.name, marks=[pytest.mark.long] if case.long else [])


@pytest.mark.parametrize("case", list(map(beside, TABLE)))
def test_beside_gnu_parallel_byte_for_byte(case: Beside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("args").write_bytes(case.args)
    theirs = gnuparallel.of_templates(tmp_path, case.options, case.templates, case.sources)
    for template, printed in zip(case.templates, theirs, strict=True):
        assert case.ours(template) == printed, template


@pytest.mark.long
@pytest.mark.parametrize("template", APPENDED)
@pytest.mark.parametrize("options", [[], ["--colsep", ","]], ids=["line", "columns"])
def test_a_template_without_a_field_gets_the_line_at_its_end(template: str, options: list[str], tmp_path: Path) -> None:
    words = [":::", "a", "b c,d" if template != "x >" else "b"]
    theirs = gnuparallel.commands(tmp_path, options, template, words)
    assert expanded(Each(template, options[-1] if options else None), Combinations(words)) == theirs


def test_the_table_is_long_enough() -> None:
    assert sum(len(case.templates) for case in TABLE) + 2 * len(APPENDED) >= 60


def test_the_chunks_are_as_large_as_those_of_the_list() -> None:
    assert rows.CHUNK_BYTES == tfin.CHUNK_BYTES


@pytest.mark.parametrize(
    ("each", "content", "made"),
    [
        (Each("x {#} {}"), b"a\n\nb\n \t\nc\n", b"x 1 a\n\nx 3 b\n\nx 5 c\n"),
        (Each("x {#} {t}", ",", True), b"t,p\n1,2\n\n3,4\n", b"#t,p\nx 1 1\n\nx 3 3\n"),
        (Each("x {#}", None, True), b"#t p\na\n", b"##t p\nx 1\n"),
        (Each("x {1} {2}", ","), b"\n,\n  \n", b"\nx '' ''\n\n"),
        (Each("x {}", r"\t"), b"\t\n", b"x '' ''\n"),
        (Each("x {}"), b"#a\n # b\n", b"x '#a'\nx ' # b'\n"),
        (Each("x {}"), b"a\r\nb \r\n", b"x a\nx 'b '\n"),
        (Each("x {}"), b"\xef\xbb\xbfa", b"x a\n"),
        (Each("x {} {temp}", None, True), b"temp\n", b"#temp\n"),
        (Each("x {}"), b"", b""),
        (Each("x %d {} 100%"), b"%s\n", b"x %d '%s' 100%\n"),
    ],
)  # fmt: skip
def test_line_n_of_the_arguments_is_line_n_of_the_list(each: Each, content: bytes, made: bytes, tmp_path: Path) -> None:
    assert of_file(tmp_path, each, content) == made


def test_the_commands_are_counted_and_a_hash_is_told(tmp_path: Path) -> None:
    (tmp_path / "args").write_bytes(b"name\na\n\n#b\n#c\n" + b"d\n" * 60_000)
    expansion = Expansion(Each("x {}", header=True), Lines(str(tmp_path / "args")))
    for _ in range(2):
        number = sum(chunk.count(b"\n") for chunk in expansion.chunks())
        assert (number, expansion.commands, expansion.hash_at) == (60_005, 60_003, 4)
    (tmp_path / "args").write_bytes(b"#name\n\n")
    assert list(expansion.chunks()) and (expansion.commands, expansion.hash_at) == (0, None)


def test_a_csv_file_with_names(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbftemp,"name, full"\r\n1.5,"a ""b"""\r\n\r\n2, c\r\n'
    each = Each("x {temp} {name, full} {#}", header=True)
    assert of_file(tmp_path, each, content, "runs.CSV") == b"#temp,name, full\nx 1.5 'a \"b\"' 1\n\nx 2 ' c' 3\n"
    (tmp_path / "runs.csv").write_bytes(b'a,b\n1,"2,3"\n')
    together = Combinations(["::::", str(tmp_path / "runs.csv"), ":::", "c", "4", "5"])
    assert expanded(Each("x {b} {c}", header=True), together) == b"x '2,3' 4\nx '2,3' 5\n"


def test_a_range() -> None:
    assert expanded(Each("ID={} ./element.sh"), Range("1-5:2,9")) == b"".join(
        b"ID=%d ./element.sh\n" % n for n in (1, 3, 5, 9)
    )


QUOTED = "needs quotes, and the field stands in quotes already: take those away"
UNKNOWN_QUOTES = "a value is quoted, and --colsep knows no quotes: without it, --header reads a .csv file as one"
SEVERAL = "{} is 2 columns here, which cannot be one word: write {1} or another one"


@pytest.mark.parametrize(
    ("each", "content", "said"),
    [
        (Each("x {1} {3}", ","), b"a,b,c\na,b\n", "args.csv:2: no column {3}: the row has 2 columns"),
        (Each("x {-2}", ","), b"a,b\n\na\n", "args.csv:3: no column {-2}: the row has 1 column"),
        (Each("x {2}"), b"a,b\n",
        "args.csv:1: no column {2}: the row has 1 column; --colsep tells what stands between columns"),
        (Each("x {a}", None, True), b"a,b\n1,2\n3\n", "args.csv:3: 1 column, but the first line has 2 names"),
        (Each("x {a}", r";", True), b"a;b\n1;2\n\n1;2;3\n", "args.csv:4: 3 columns, but the first line has 2 names"),
        (Each("x {a}", ",", True), b'a,b\n1,"2,3"\n', "args.csv:2: " + UNKNOWN_QUOTES),
        (Each("x {a}", ",", True), b'"a",b\n1,2\n', "args.csv:1: " + UNKNOWN_QUOTES),
        (Each("x '{}'"), b"a\nb c\n", "args.csv:2: the value 'b c' of {} " + QUOTED),
        (Each('x "{}"'), b"a\n$b\n", "args.csv:2: the value '$b' of {} " + QUOTED),
        (Each("x \\{.}"), b"a\n.b\n", "args.csv:2: the value '' of {.} " + QUOTED),
        (Each("x {1}>y"), b"a\n2\n",
        "args.csv:2: the value '2' of {1} would be a file descriptor: put a blank behind the field"),
        (Each("x a{}", ","), b"a\na,b\n", "args.csv:2: " + SEVERAL),
        (Each("x > {}", ","), b"a\na,b\n", "args.csv:2: " + SEVERAL),
        (Each("x >", ","), b"a\na,b\n", "args.csv:2: " + SEVERAL),
        (Each("x '{}'", ","), b"a,b\n", "args.csv:1: " + SEVERAL),
        (Each("x {}", header=True), b'a\n"b\nc"\n', ("args.csv:2: a value spans the lines 2 to 3, and a task is one line: "
         "take the line break away")),
        (Each("x {tmep}", ",", True), b"temp,b\n", ("template 'x {tmep}': no column is called tmep; did you mean {temp}? "
         "If it is no field, write { tmep }")),
    ],
)  # fmt: skip
def test_a_row_that_has_no_such_value_is_refused(
    each: Each, content: bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("args.csv").write_bytes(content)
    with pytest.raises(FarmError) as refused:
        expanded(each, Lines("args.csv"))
    assert str(refused.value) == said


@pytest.mark.parametrize(
    ("template", "words", "said"),
    [
        ("x {3}", "::: a b ::: 1 2", "combination 1 of ::: a b ::: 1 2: no column {3}: the row has 2 columns"),
        ("x '{2}'", "::: a b ::: 1 $2", "combination 2 of ::: a b ::: 1 $2: the value '$2' of {2} " + QUOTED),
        ("x '{}'", "::: a $b", "value 2 of ::: a $b: the value '$b' of {} " + QUOTED),
    ],
)  # fmt: skip
def test_a_combination_that_has_no_such_value_is_refused(template: str, words: str, said: str) -> None:
    with pytest.raises(FarmError) as refused:
        expanded(Each(template), Combinations(words.split()))
    assert str(refused.value) == said


@pytest.mark.parametrize("late", [1, 5000, 100_000])
def test_the_line_of_a_fault_is_told_wherever_it_is(late: int, tmp_path: Path) -> None:
    with pytest.raises(FarmError, match=rf"args.txt:{late + 1}: no column"):
        of_file(tmp_path, Each("x {2}", ","), b"a,b\n" * late + b"c\n" + b"d\n" * 10)


def test_a_bad_template_is_told_before_anything_is_read() -> None:
    with pytest.raises(FarmError, match="first word"):
        Expansion(Each("{}"), Lines("gone"))
    with pytest.raises(FarmError, match="regular expression"):
        Expansion(Each("x {t}", "[", True), Lines("gone"))


VALUE = st.binary(max_size=8).map(lambda value: value.replace(b"\0", b" ").replace(b"\n", b"'"))
SPECIAL = st.text(st.sampled_from("'\"$`\\ \t#!*?[]{}()<>|&;~=%-\r^,:@a"), max_size=6).map(str.encode)
PIECES: list[tuple[bytes, bytes, int | None]] = [  # what stands before and behind a field, and what that is; the column
    *((b"", b"", column) for column in (1, 2, 3)),
    *((before, behind, column) for before, behind in ((b"'", b"'"), (b'"', b'"'), (b"\\", b"")) for column in (1, 2)),
    *((b'"$(printf %s ', b')"', column) for column in (1, 3)),
    (b"a", b"", None), (b"'b c'", b"", None), (b'"d\'e"', b"", None), (b"\\$", b"", None), (b'"$V"', b"", None),
    (b"-%", b"", None),
]  # fmt: skip
TEXTS = {b"a": b"a", b"'b c'": b"b c", b'"d\'e"': b"d'e", b"\\$": b"$", b'"$V"': b"", b"-%": b"-%"}
WORDS = st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=3), max_size=4).map(
    lambda words: [*words, PIECES[:1]]
)


def template_of(words: Sequence[Sequence[tuple[bytes, bytes, int | None]]]) -> str:
    written = [
        b"".join(before + (b"{%d}" % column if column else b"") + behind for before, behind, column in pieces)
        for pieces in words
    ]
    return os.fsdecode(b" ".join([b"printf '%s\\0' .", *written]))


def meant(words: Sequence[Sequence[tuple[bytes, bytes, int | None]]], row: Sequence[bytes]) -> bytes:
    """Return what a program is to get, worked out without any shell."""
    values = [b"".join(row[column - 1] if column else TEXTS[before] for before, _, column in pieces) for pieces in words]
    return b"".join(value + b"\0" for value in [b".", *values])


ARGUMENT = (VALUE | SPECIAL | st.just(b"plain")).filter(lambda value: os.fsdecode(value) not in combinations.OPERATORS)


@given(WORDS, st.lists(st.tuples(*[ARGUMENT] * 3), min_size=1, max_size=8))
@pytest.mark.parametrize("dash", [True, False])
def test_what_a_program_gets_is_what_the_row_says(
    dash: bool,
    tmp_path_factory: pytest.TempPathFactory,
    words: list[list[tuple[bytes, bytes, int | None]]],
    rows: list[tuple[bytes, bytes, bytes]],
) -> None:
    sources = [word for column in zip(*rows, strict=True) for word in [":::+", *map(os.fsdecode, column)]]
    try:
        script = expanded(Each(template_of(words)), Combinations([":::", *sources[1:]]))
    except FarmError as error:
        assert any(
            why in str(error) for why in ("stands in quotes already", "with the value as one name", "may be the shell's")
        )
        return
    expected = b"".join(meant(words, row) for row in rows)
    assert result(b"unset V\n" + script, dash, tmp_path_factory.getbasetemp()) == (0, expected)


def test_memory_does_not_grow_with_the_list(tmp_path: Path) -> None:
    peaks = []
    for number in (15_000, 60_000):
        (tmp_path / "args").write_bytes(b"".join(b"%d,value %d\n" % (n, n) for n in range(number)))
        tracemalloc.start()
        made = sum(
            chunk.count(b"\n") for chunk in Expansion(Each("x {1} {2}", ","), Lines(str(tmp_path / "args"))).chunks()
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert made == number
    assert peaks[1] < 1.2 * peaks[0]


def test_a_long_template_does_not_make_large_chunks(tmp_path: Path) -> None:
    (tmp_path / "args").write_bytes(b"a\n" * 20_000)
    chunks = list(Expansion(Each("x {} " + "y" * 5000), Lines(str(tmp_path / "args"))).chunks())
    assert max(map(len, chunks)) < 2 * rows.CHUNK_BYTES and sum(chunk.count(b"\n") for chunk in chunks) == 20_000
