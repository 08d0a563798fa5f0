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
from mpifarm.tasks import rows, tfin
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
 both 
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
    Beside("characters", ["::::", "args"], ["x {}", "x {1}", "x a{}b", "x {}{}", "x -o{1} {-1}", "X={} x", "x {#}{1}"], ODD),
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
            *("x {}&& y", "x > {}", "x {} 2>&1", "x --a={} --b={#}", "x {},{}", "x {{}}", "x $y {}", "x ${y}{}", "x ${y%.z} {}"),
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
    Beside("product", [":::", "a", "b c", ":::", "1", "2", ":::", "x", "y"], ["x {1} {2} {3}", "x {}", "x {3/} {#}", "x {-1}"]),
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
        "product with names", [":::", "f", "a", "b", ":::", "g", "1", "2"], ["x {f} {g}", "x {g.} {1} {#}"], header=True, long=False
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
