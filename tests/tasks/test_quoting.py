"""What a line leaves open and where its comment begins: examples, and any line against dash and bash."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shells import is_valid

from mpifarm.tasks.quoting import Part, comment_at, read

BOTH = pytest.mark.parametrize("dash", [True, False])
WORDS = [
    *("echo", "a", "b", " ", " ", " ", "\t", "'", '"', "`", "\\", "$(", ")", "(", ")", "${", "}", "$((", "))", "((", "$"),
    *("$'", "#", " #", "# x", "<<", "<<<", "<", "EOF", ";", "&", "&&", "|", "case", " in ", "esac", "[[ ", " ]]", "=~"),
    *("=", "1", "x=", "$#", "${x:-", "${#", "!", "$[", "]", "<(", ">", "a=(", "\r", "\xe9", "$!", "@(", "*", "{ ", " }"),
]
ERRORS = ("'", '"', "`", "$(", "${", "(", "((")


@BOTH
@pytest.mark.parametrize(
    ("text", "left_open"),
    [
        (b"echo 'a b", "'"), (b'echo "a b', '"'), (b"echo `a", "`"), (b"echo $(a", "$("), (b'echo "$(a "b" c"', '"'),
        (b"echo ${a", "${"), (b"(a; b", "("), (b"echo $((1", "(("), (b"((a", "(("), (b"echo it's", "'"),
        (b"echo a \\", "\\"), (b"echo a\\", "\\"), (b'echo "a\\', "\\"), (b"cat <<EOF", "<<"), (b"cat <<-'E' | b", "<<"),
        (b"x=$(cat <<E)", "<<"), (b"f() (a", "("), (b"a=(1", "("),
        (b"echo a \\\\", ""), (b"echo 'a\\'", ""), (b"echo \"it's\" 'a \"b'", ""), (b"echo \\' \\\" \\` \\(", ""),
        (b"echo a # it's \\", ""), (b"cat <<<", ""), (b"echo $((1 << 2)) ${x#'}'}", ""), (b"echo a#'b'", ""),
        (b"case x in a) b;; esac", ""), (b'echo "$(echo "a)b" \')\')"', ""), (b"echo `echo \\`a\\``", ""),
        (b"echo \"${x:-a b}\" '$(' \"\\$(\" \"<<E\"", ""), (b"", ""), (b"((a << 2))", ""), (b"[ $# = 0 ]", ""),
    ],
)  # fmt: skip
def test_what_a_line_leaves_open(text: bytes, left_open: str, dash: bool) -> None:
    line = read(text, dash)
    assert (line.sure, line.open) == (True, left_open)


@pytest.mark.parametrize("dash", [True, False])
def test_an_ansi_string_is_one_for_bash_alone(dash: bool) -> None:
    assert read(b"echo $'it\\'s'", dash).open == ("'" if dash else "")
    assert comment_at(b"echo $'a\\' # b'", dash) == (11 if dash else 15)


@BOTH
@pytest.mark.parametrize(
    ("text", "comment"),
    [
        (b"./fit 17 #mpifarm cpus=4", b"#mpifarm cpus=4"), (b"#all", b"#all"), (b"a;#b", b"#b"), (b"(a)#b", b"#b"),
        (b"a '#b' \"#c\" \\#d e#f #g", b"#g"), (b"a ${x#y} ${#x} $# #b", b"#b"), (b"a \\ #b", b""), (b"a 'b'#c", b""),
        (b"a `b # c`#d", b""), (b"a $(b)#c", b""), (b"a $(b) #c", b"#c"), (b"a\t#b # c", b"#b # c"), (b"a &#b", b"#b"),
        (b"bash -c 'x #mpifarm a'", b""), (b"a $((2#101 + 1)) #b", b"#b"), (b"\xc3\xa9 #\xff", b"#\xff"), (b"a > b#c", b""),
    ],
)  # fmt: skip
def test_where_the_comment_begins(text: bytes, comment: bytes, dash: bool) -> None:
    at = comment_at(text, dash)
    assert at is not None
    assert text[at:] == comment


@BOTH
@pytest.mark.parametrize(
    "text", [b"\"$(case a in a) echo 'b)' ;; esac)\" #c", b"\"${x:-'}\" #'", b"echo ${ a; }", b"a $[1]"]
)
def test_what_is_not_sure_says_so(text: bytes, dash: bool) -> None:
    assert comment_at(text, dash) is None
    assert read(text, dash).open == ""


def test_the_parts_of_a_line() -> None:
    line = read(b"echo \"a $(b 'c')\" \\# $((1)) # d # e", dash=True)
    assert line.text[line.end :] == b"# d # e"
    assert line.only(Part.CODE) == b'echo "__________" __ ______ '
    assert line.only(Part.NESTED) == b"________$(b '_')____________"
    assert line.only(Part.TEXT) == b"______a ____________________"
    assert line.only(Part.LITERAL) == b"_____________c____\\#________"
    assert line.only(Part.ARITHMETIC) == b"_____________________$((1))_"[:28]


LINES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map("".join).map(os.fsencode)


@BOTH
@given(text=LINES)
@settings(max_examples=3 * settings().max_examples, deadline=None)
def test_nothing_is_called_open_that_the_shell_finds_whole(text: bytes, dash: bool) -> None:
    if read(text, dash).open in ERRORS:
        assert not is_valid(text, dash)


@BOTH
@given(text=LINES)
@settings(max_examples=3 * settings().max_examples, deadline=None)
def test_a_comment_begins_where_the_shell_sees_it(text: bytes, dash: bool) -> None:
    line = read(text, dash)
    if not line.sure or line.open:
        return
    before = text[: line.end]
    if line.end < len(text):  # anything may stand in it
        assert not is_valid(before, dash) or is_valid(before + b"# ' ( \" ;;", dash)
    elif is_valid(text, dash):  # no quote can be opened in one that was overlooked
        assert not is_valid(text + b"'", dash)


def test_a_long_line_costs_no_more_than_its_length() -> None:
    for piece in (b"'a' ", b'"a" ', b"$(", b"`a` ", b"\\a", b"(", b"'", b"$'a\\' ", b"a#", b"${", b"`", b"<<", b"()"):
        assert read(piece * 20_000, dash=False).end == 20_000 * len(piece)
