"""Where a task that spans lines ends: of each kind, held against what the shells take for whole; and what is said of it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shells import is_valid

from mpifarm import FarmError
from mpifarm.journal.opening import open_run
from mpifarm.settings import Config
from mpifarm.tasks import span
from mpifarm.tasks.grammar import parse
from mpifarm.tasks.looks import Looks
from mpifarm.tasks.quoting import read
from mpifarm.tasks.survey import survey

BOTH = pytest.mark.parametrize("dash", [True, False])

WHOLE = {
    "a single quote": b"python -c 'import os\nprint(1)'",
    "a double quote": b'awk "\n{ print }\n" < a',
    "a double quote with a backslash at an end": b'echo "a \\\nb" c',
    "a quote that closes and opens": b"echo 'a\nb' 'c\nd'",
    "a backslash": b"echo a \\\n  b \\\n  c",
    "a backslash and carriage returns": b"echo a \\\r\n  b\r",
    "a here-document": b"cat > x <<EOF\na\n 'b\nEOF",
    "one in quotes, with tabs": b"cat <<-'E F' | b\n\ta\n\tE F",
    "two, and a line that goes on": b"cat <<A - <<B && \\\necho\na\nA\nb\nB",
    "a here-document in a loop": b"for i in 1 2; do\ncat <<EOF\ndone\nEOF\ndone",
    "for": b"for i in 1 2; do\n./run $i # one's own\ndone > out",
    "for, do in a line of its own": b"for i in 1 2\ndo\n./run $i\ndone",
    "while with if": b"while read x; do\nif a; then\nb\nelse\nc\nfi\ndone < f",
    "if, elif": b"if a\nthen b\nelif c\nthen\nd\nfi",
    "braces": b"{\n./a\n./b\n} > out",
    "a function": b"f() {\n./a\n}",
    "parentheses": b"(\ncd a\n./b 'c\nd'\n)",
    "$( )": b"x=$(a\nb)",
    "backquotes": b"echo `a\nb`",
    "${ }": b"echo ${x:-a\nb}",
    "&& and |": b"./a &&\n./b |\n./c",
}


@BOTH
@pytest.mark.parametrize("kind", WHOLE)
def test_the_last_line_is_found_whatever_stands_before_and_behind(kind: str, dash: bool) -> None:
    whole = WHOLE[kind]
    assert is_valid(whole.replace(b"\r", b""), dash)
    lines = [b"./before 'a'", *whole.split(b"\n"), b"./behind", b"echo 'it", b"done", b"EOF", b")"]
    assert span.last(lines, 1, dash) == len(whole.split(b"\n"))


@BOTH
@pytest.mark.parametrize(
    "text",
    [
        b"./fit 'a\n./fit b\n./fit c",
        b"cat <<EOF\na\nEOF ",
        b"cat <<EOF\na",
        b"cat <<$(x)\na\nx",
        b"for i in 1; do\n./a",
        b"(\na",
        b"a \\",
        b"a \\\nb \\",
        b"done\na\nb",
        b"fi\nif a; then b; fi",
        b"&& a\nb",
        b"case x in\na) b;;\nesac",  # nobody is sure about it
        b"wait\na",
        b"./a\n./b",
        b"./a &&",
    ],
)
def test_an_end_that_is_not_there_or_not_sure_is_not_claimed(text: bytes, dash: bool) -> None:
    assert span.last(text.split(b"\n"), 0, dash) is None


@pytest.mark.parametrize("opener", [b"echo 'a", b"cat <<EOF", b"for i in a; do", b"("])
@pytest.mark.parametrize("closer", [b"'", b"EOF", b"done", b")"])
def test_it_does_not_read_on_for_ever(opener: bytes, closer: bytes) -> None:
    lines = [opener, *[b"./fit %d" % number for number in range(span.MOST_LINES)], closer]
    assert span.last(lines, 0, True) is None
    assert span.last([opener, b"x" * span.MOST_BYTES, b"y", closer], 0, True) in (None, 3)


def test_a_long_script_in_quotes_is_no_matter() -> None:
    lines = [b"python -c '", *[b'print("%d")' % number for number in range(span.MOST_LINES - 1)], b"'"]
    assert span.last(lines, 0, True) == span.MOST_LINES


PIECES = [
    *("echo", "a", " ", " ", " ", "\n", "\n", "\n", "'", '"', "`", "\\", "\\\n", "$(", ")", "(", ")", "${x:-", "}", "{ "),
    *("\nEOF\n", "<<EOF", "<<'EOF' b", "<<-EOF", ";", "&&", "|", "if ", "; then", "\nfi", "for i in a; do", "\ndone"),
    *("\ndo\n", "# x", "while ", "else", "!", "x=", "$x", "((", "))"),
]  # fmt: skip


@given(words=st.lists(st.sampled_from(PIECES), min_size=2, max_size=14), dash=st.booleans())
@settings(max_examples=5 * settings().max_examples, deadline=None)
def test_what_is_called_whole_the_shell_takes_or_it_is_wrong_from_its_first_line_on(words: list[str], dash: bool) -> None:
    """Up to the last line nothing is open; of what is before it the shell takes none, unless a here-document is cut."""
    lines = os.fsencode("".join(words)).split(b"\n")
    line = read(lines[0], dash)
    if not line.sure or not (line.open or parse(line).unfinished):
        return
    last = span.last(lines, 0, dash)
    if last is None or not is_valid(b"\n".join(lines[: last + 1]), dash):
        return
    for upto in range(1, last + 1):
        before = b"\n".join(lines[:upto])
        cut = before.endswith(b"\\") or b"<<" in before
        assert cut or not is_valid(before, dash), before


# what is said


def refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, name: str = "tasks.txt", **options: str
) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mpifarm.tasks.lint.is_dash", lambda _: True)
    Path(name).write_bytes(content)
    with pytest.raises(FarmError) as error:
        open_run(Config(name, **options))  # type: ignore[arg-type]
    return str(error.value)


def test_a_start_names_both_ends_and_how_to_put_it_into_a_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(tmp_path, monkeypatch, b"# a\n./a\nfor i in 1 2; do\n./fit $i\ndone\n./b\n")
    assert said == (
        'tasks.txt:3-5: "for i in 1 2; do" is a part of something (its for): put lines 3 to 5 into a script,'
        " sed -n 3,5p tasks.txt > ./tasks.3-5.sh, and write in their place: sh ./tasks.3-5.sh;"
        " or give --anyway to run the list as it stands"
    )


def test_an_open_quote_may_have_been_meant_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(tmp_path, monkeypatch, b"echo it's one\necho it's two\n")
    assert said.startswith('tasks.txt:1-2: a quote is open in "echo it\'s one": put lines 1 to 2 into a script, ')
    assert "; or put a backslash before the quote, if it stands for itself; or give --anyway" in said


def test_without_an_end_the_first_line_is_named_and_nothing_is_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = refusal(tmp_path, monkeypatch, b"./a\n./fit 'a\n./b\n")
    assert said == (
        'tasks.txt:2: a quote is open in "./fit \'a": each line is a task of its own, in no order: write what belongs'
        " together into one line, or into a script; or give --anyway to run the list as it stands"
    )


def test_the_script_that_is_advised_does_what_the_lines_were_meant_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a list somewhere else, and names that a shell would take apart."""
    (tmp_path / "my lists").mkdir()
    content = b"true\ncat > 'a b' <<EOF\nit's\nEOF\ntrue\n"
    said = refusal(tmp_path, monkeypatch, content, "my lists/of a.txt", shell="/bin/bash")
    extract = said.partition("script, ")[2].partition(", and write")[0]
    instead = said.partition("in their place: ")[2].partition("; or give")[0]
    assert instead == "/bin/bash './of a.2-4.sh'"
    assert subprocess.run(f"{extract} && {instead}", shell=True, check=False).returncode == 0
    assert Path("a b").read_text() == "it's\n"


def test_a_check_tells_the_same_across_what_is_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = 96 * 1024 // 8 - 1
    lines = [b"true 12"] * first + [b"cat <<EOF", *[b"no such program"] * 20, b"EOF", b"true", b"if a; then", b"b", b"fi"]
    Path("tasks.txt").write_bytes(b"\n".join(lines) + b"\n")
    found = survey(Path("tasks.txt"), Path("none"), Looks("/bin/sh", os.environ["PATH"], ()))
    told = {fault.name: [(place.number, place.last) for place in tally.places] for fault, tally in found.tallies.items()}
    end = first + 22
    assert told["NO_TASK"] == [(first + 1, end), (end + 2, end + 4)]
    assert set(told) == {"NO_TASK", "EQUAL"}
    place = found.tallies[next(fault for fault in found.tallies if fault.name == "NO_TASK")].places[0]
    assert (
        f"sed -n {first + 1},{end}p tasks.txt > ./tasks.{first + 1}-{end}.sh, and write in their place: sh " in place.said
    )


def test_with_anyway_the_lines_are_looked_at_as_they_are_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tasks.txt").write_bytes(b"echo 'a\nno_such_program_here\n'\n")
    for anyway in (False, True):
        found = survey(Path("tasks.txt"), Path("none"), Looks("/bin/sh", os.environ["PATH"], (), anyway=anyway))
        assert ("PROGRAM" in {fault.name for fault in found.tallies}) == anyway
