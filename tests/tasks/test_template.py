"""What a template may be: which braces are fields, and what is refused, with its words."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpifarm import FarmError
from mpifarm.tasks.template import Field, parsed
from mpifarm.tasks.values import CHANGES

COMMAND = (
    "in its first word, GNU Parallel would run values as code; "
    "a list of commands needs no --each, and `command` before it makes the value a program's name"
)
NO_NAMES = "no column has a name, which --header takes from the first line; if it is no field, write it in single quotes"
NO_FIELD = "if it is no field, write it in single quotes"


def shape(template: str, names: list[bytes] | None = None) -> list[object]:
    """Return the texts of a template, and columns in place of its fields."""
    read = parsed(template, names)
    columns = ["#" if field is None else field.column for field in read.fields]
    pairs: list[object] = [part for pair in zip(read.texts, [*columns, None], strict=True) for part in pair]
    return pairs[:-1]


@pytest.mark.parametrize(
    ("template", "read"),
    [
        ("x {}", [b"x ", None, b""]), ("x {1}y{-2}", [b"x ", 1, b"y", -2, b""]), ("x {#}", [b"x ", "#", b""]),
        ("x", [b"x ", None, b""]), ("x {a,b} {1..3} {2}", [b"x {a,b} {1..3} ", 2, b""]),
        ("x '{y}' {2.}", [b"x '{y}' ", 2, b""]),
        ("x ${y} {}", [b"x ${y} ", None, b""]), ("x {01}{1 }", [b"x ", 1, b"", 1, b""]), ("x {{}}", [b"x {", None, b"}"]),
        ("x { y } {} {z", [b"x { y } ", None, b" {z"]), ("V={} x", [b"V=", None, b" x"]), ("(x {})", [b"(x ", None, b")"]),
        ("x \\{\\} {}", [b"x \\{\\} ", None, b""]), ("x {} # {y}", [b"x ", None, b" # {y}"]),
        ("x {} $1{2}", [b"x ", None, b" $1", 2, b""]),
        ("find {1} -exec x {2} \\; ; y {}", [b"find ", 1, b" -exec x ", 2, b" \\; ; y ", None, b""]),
        ("gcc -I{} x", [b"gcc -I", None, b" x"]), ("xargs -I % x % {} ", [b"xargs -I % x % ", None, b" "]),
        ("x {} {1}2>y", [b"x ", None, b" ", 1, b"2>y"]),
    ],
)  # fmt: skip
def test_which_braces_are_fields(template: str, read: list[object]) -> None:
    assert shape(template) == read


NAMES = [b"temp", b"x y", b"a.b", b"it's", b"", b"a", b"\xe9", b"d", b"d"]


@pytest.mark.parametrize(
    ("inner", "column", "ending"),
    [("temp", 1, ""), ("temp.", 1, "."), ("temp//", 1, "//"), ("x y/.", 2, "/."), ("a.b", 3, ""), ("a.b/", 3, "/"),
     ("it's", 4, ""), ("a.", 6, "."), (os.fsdecode(b"\xe9"), 7, ""), ("8", 8, ""), ("-1/", -1, "/")],
)  # fmt: skip
def test_names_of_columns(inner: str, column: int, ending: str) -> None:
    (field,) = parsed(f"x {{{inner}}}", NAMES).fields
    assert field is not None and (field.column, field.change) == (column, CHANGES[ending])


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("", "that is no command"), (" \t", "that is no command"), ("# x {}", "that is no command"), (" #x",
        "that is no command"),
        ("x\ny {}", "it has a line break, and a task is one line: ; takes its place, or a script"),
        ("x {%}", "{%} is not known here: write $MPIFARM_SLOT, the task's slot"),
        ("x {= s/a// =}", "{= =} is Perl, which is not known here: ${x%.*} and the like are the shell's"),
        ("{}", f"with {{}} {COMMAND}"), (" {1} {2}", f"with {{1}} {COMMAND}"), ("./{1}/run {2}", f"with {{1}} {COMMAND}"),
        ("run{#} {1}", f"with {{#}} {COMMAND}"), (">{.} x", f"with {{.}} {COMMAND}"),
        ("x ${1}", "${1} may be the shell's $1, or $ and a field: write one of them"),
        ("x '${}'", "${} may be the shell's $, or $ and a field: write one of them"),
        ("x $y{1}", "$y would be read with the value as one name: write ${y}{1}"),
        ("x {0}", "{0}: columns count from 1"), ("x {-0.}", "{-0.}: columns count from 1"),
        ("x {temp}", f"{{temp}}: {NO_NAMES}"), ('x "{temp/}"', f"{{temp/}}: {NO_NAMES}"),
        ("x HEAD@{u} {}", f"{{u}}: {NO_NAMES}"),
        ("x {..}", f"{{..}} is no field; the nearest is {{.}}; {NO_FIELD}"),
        ("x {0#}", f"{{0#}} is no field; the nearest is {{#}}; {NO_FIELD}"),
        ("x {+/}", f"{{+/}} is no field; the nearest is {{/}}; {NO_FIELD}"),
        ("x {2x}", f"{{2x}} is no field; the nearest is {{}}; {NO_FIELD}"),
        ("x # y", "at its end the line would be part of the comment: write {} where it belongs"),
        ("x 'y", "it leaves ' open, so the line cannot be put at its end: write {}"),
        ("x \\", "it leaves \\ open, so the line cannot be put at its end: write {}"),
        ("x #{1}", "#{1} begins a comment: write '#'{1}, or a blank if it is to be one"),
        ("x {#}>y", "{#} would be a file descriptor there: put a blank behind it"),
        ("x {1}{#}<y", "{#} would be a file descriptor there: put a blank behind it"),
        ("find . -exec x {} \\;", "this {} may be find's, written \\{\\}, or a field, written {1}"),
        ("find {1} -execdir x {} +", "this {} may be find's, written \\{\\}, or a field, written {1}"),
        ("x {1} | xargs -I{} y", "this {} may be xargs's, written \\{\\}, or a field, written {1}"),
        ("x | xargs -0 -I {} y {1}", "this {} may be xargs's, written \\{\\}, or a field, written {1}"),
    ],
)  # fmt: skip
def test_a_template_that_could_mean_something_else_is_refused(template: str, said: str) -> None:
    with pytest.raises(FarmError) as refused:
        parsed(template, None)
    assert str(refused.value) == f"template '{template}': {said}".replace("\n", "\\n").replace("\t", " ")


@pytest.mark.parametrize(
    ("template", "names", "said"),
    [
        ("x {tmep}", NAMES, "no column is called tmep; did you mean {temp}? If it is no field, write { tmep }"),
        ("x '{print}'", [b"a", b"b"], "no column is called print; there are a, b. If it is no field, write { print }"),
        ("x {b}", [b"a,b"], ("no column is called b; there are a,b. --colsep tells what stands between columns."
         " If it is no field, write { b }")),
        ("x {z/.}", [b"%d" % n for n in range(9)],
         "no column is called z/.; there are 0, 1, 2, 3, 4, 5, 6, 7, .... If it is no field, write { z/. }"),
        ("x {d}", NAMES, "several columns are called 'd': rename them, or write a number"),
        ("x {1}", [b"2", b"1"], "{1} is a column's number, and one has this name: rename it"),
    ],
)  # fmt: skip
def test_an_unknown_name_is_refused_with_the_nearest(template: str, names: list[bytes], said: str) -> None:
    with pytest.raises(FarmError) as refused:
        parsed(template, names)
    assert str(refused.value) == f"template '{template}': {said}"


def test_what_is_refused_is_shown_without_control_characters() -> None:
    with pytest.raises(FarmError) as refused:
        parsed("x \x1b[2J{%}", None)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("template", "quotable", "alone"),
    [
        ("x {}", True, True), ("x {};y", True, True), ("x a{}", True, False), ("x {}b", True, False),
        ("x > {}", True, False),
        ("x '{}'", False, False), ('x "{}"', False, False), ('x "$(y {})"', True, True), ("x `y {}`", False, False),
        ("x $(( {} ))", False, False), ("x ${y:-{}}", False, False), ("x \\{}", False, False), ("x # {}", True, True),
        ("x '{}", False, False), ("case $(case x in y) z;; esac) in {} ) y;; esac", False, False),
        ("x <<E {}", False, False),
        ("x $'a\\' {}", False, False), ("x $'a\\' {}'", False, False),
    ],
)  # fmt: skip
def test_where_a_value_may_have_quotes(template: str, quotable: bool, alone: bool) -> None:
    (field,) = parsed(template, None).fields
    assert isinstance(field, Field) and (field.quotable, field.alone) == (quotable, alone)


@given(st.text(st.sampled_from("{}12-#./%=a, '\"$x\\<>&;|()\n!~"), max_size=20), st.sampled_from([None, [b"a", b"x"]]))
def test_any_template_is_read_or_refused(template: str, names: list[bytes] | None) -> None:
    try:
        read = parsed(template, names)
    except FarmError:
        return
    assert len(read.texts) == len(read.fields) + 1 > 1
    written = [*(b"{#}" if field is None else field.text.encode() for field in read.fields), b""]
    assert b"".join(part for pair in zip(read.texts, written, strict=True) for part in pair).startswith(template.encode())
