"""What dash does not know: each example gives something else under dash and under bash."""

from __future__ import annotations

from pathlib import Path

import pytest
from shells import result

from mpifarm.tasks.bashisms import bashism
from mpifarm.tasks.quoting import read


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("echo {1..3}", "{1..3}"),
        ("echo a{b,c}d", "{b,c}"),
        ("[[ a == a ]] && echo yes", "[["),
        ("echo $((RANDOM > 0))", "$RANDOM"),
        ("echo ${RANDOM:+set}", "$RANDOM"),
        ('test -n "$RANDOM" && echo a', "$RANDOM"),
        ("cat <(echo a)", "<( )"),
        ("cat <<< a", "<<<"),
        ("echo $'a\\x41b'", "$' '"),
        ("((1 > 0)) && echo a", "(( ))"),
        ("function f { echo a; }; f", "function"),
        ("a=(1 2); echo ${a[1]}", "arrays"),
        ("[ a == a ] && echo a", "=="),
        ("if [ a == a ]; then echo a; fi", "=="),
        ("echo -e 'a\\tb'", "echo -e"),
        ("x=abc; echo ${x//b/d}", "${x/"),
        ("x=abc; echo ${x:1}", "${x:1"),
        ("x=abc; echo ${x^}", "${x^"),
        ("x=y; y=z; echo ${!x}", "${!x"),
        ("ls nosuch |& grep -c nosuch", "|&"),
        ("let x=1+1; echo $x", "let"),
        ("echo 'echo a' > f; source ./f", "source"),
        ("echo 'echo a' > f; echo $(source ./f)", "source"),
        ("declare -i x; echo $?", "declare"),
        ("ls nosuch &> out; wait; echo $?; cat out | wc -l", "&>"),
        ("echo a &>> out; wait; grep -c a out", "&>>"),
    ],
)
def test_what_dash_does_not_know_is_named(text: str, named: str, tmp_path: Path) -> None:
    said = bashism(read(text.encode(), dash=True), known=())
    assert said is not None
    assert named in said
    assert result(text.encode(), True, tmp_path) != result(text.encode(), False, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "echo '{1..3}' \"{a,b}\" '[[ a ]]' '$RANDOM' '<(a)'",
        "echo {} { } {a} a{b}c",
        "echo a && echo b 2>&1 > /dev/null",
        "true&&>f",
        "[ a = a ] && echo a",
        "echo source function",
        'echo "a == b" == c',
        "echo $((1 << 2)) ${x:-1} ${x#a/b}",
        "x=abc; echo ${#x} ${x%c} ${x:+d}",
        "echo -n a",
        "echo $(echo a; (echo b))",
        "(echo a) | (cat)",
        "awk 'BEGIN {print 1, 2}'",
        "echo a # {1..3} [[",
        "echo \\$RANDOM",
        "echo a | tee f | cat",
    ],
)
def test_what_both_know_is_not(text: str, tmp_path: Path) -> None:
    assert bashism(read(text.encode(), dash=True), known=()) is None
    assert result(text.encode(), True, tmp_path) == result(text.encode(), False, tmp_path)


def test_a_variable_that_is_set_is_nothing_special() -> None:
    assert bashism(read(b"echo $HOSTNAME", dash=True), known={"HOSTNAME"}) is None
    assert bashism(read(b"echo $HOSTNAME", dash=True), known=()) == "does not know $HOSTNAME"
