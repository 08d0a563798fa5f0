"""A list that a template makes, printed: byte for byte what --each would run, as a stream, and nothing of what is wrong."""

from __future__ import annotations

import os
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mpifarm import FarmError, cli
from mpifarm.journal.opening import open_run
from mpifarm.settings import Config, Each
from mpifarm.view import expand

CASE = Path(__file__).parents[1] / "data" / "coming"
PROGRAM = [sys.executable, "-m", "mpifarm"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("SLURM", "PMI", "OMPI_COMM", "THREADS"))]:
        monkeypatch.delenv(name)
    Path("args.txt").write_text("a b\n\n#c\nit's\n")
    Path("runs.csv").write_text('temp,name\n1,"a, ""b"""\n\n2.5,$HOME\n')
    Path("args.tsv").write_bytes((CASE / "args.tsv").read_bytes())


Told = tuple[bytes, str]  # on standard output and error
Expanded = Callable[..., Told]


@pytest.fixture
def expanded(capfdbinary: pytest.CaptureFixture[bytes]) -> Expanded:
    def expanded(*words: str, code: int = 0) -> Told:
        got = cli.main(["--expand", *words])
        printed = capfdbinary.readouterr()
        assert got == code, printed.err
        return printed.out, printed.err.decode()

    return expanded


def records(content: bytes) -> bytes:
    """Return the .tfin file of a list: see `tfin`."""
    return b"".join(b"> %b\n" % line for line in content.removesuffix(b"\n").split(b"\n") if not line.startswith(b"#"))


@pytest.mark.parametrize(
    ("each", "source", "words"),
    [
        (Each("./run {} > {#}.out"), "args.txt", ["::::", "args.txt"]),
        (Each("./run"), "args.txt", ["::::", "args.txt"]),
        (Each("./run {2} {1}", colsep=r"\t"), "args.tsv", ["--colsep", r"\t", "::::", "args.tsv"]),
        (Each("./run {temp} {name} {#}", header=True), "runs.csv", ["--params", "runs.csv"]),
        (Each("./run {temp} {name}", header=True), "runs.csv", ["--header", "::::", "runs.csv"]),
        (Each("X={} ./run", elements="1-20:3,8"), "1-20:3,8", []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_it_is_the_list_whose_tfin_file_each_leaves(each: Each, source: str, words: list[str], expanded: Expanded) -> None:
    options = [*(["--colsep", each.colsep] if each.colsep else []), *["--header"] * each.header]
    printed, _ = expanded(each.template, *options, source)
    assert words == [] or expanded(each.template, *words)[0] == printed
    run = open_run(Config(source, each=each))
    assert records(printed) == run.tasklist.tfin.read_bytes()


def test_all_combinations_and_linked_ones_with_values_that_begin_with_a_dash(expanded: Expanded) -> None:
    assert expanded("./run {1} {2}", ":::", "a", "-j", ":::", "1", "--help") == (
        b"./run a 1\n./run a --help\n./run -j 1\n./run -j --help\n",
        "",
    )
    assert expanded("./run {1} {2}", ":::", "a", "b c", ":::+", "1", "2")[0] == b"./run a 1\n./run 'b c' 2\n"
    tabs = expanded("./run", "::::", "args.tsv")[0]
    assert tabs.splitlines()[1:] == [b"./run 'b\tx,y'", b"./run 'it'\"'\"'s\t$HOME'", b""]


def test_a_csv_file_by_any_name_is_read_as_one(expanded: Expanded) -> None:
    Path("runs").write_bytes(Path("runs.csv").read_bytes())
    told = expanded("./run {temp} {name}", "--params", "runs")
    assert told == expanded("./run {temp} {name}", "--params", "runs.csv")
    assert told[0] == b"#temp,name\n./run 1 'a, \"b\"'\n\n./run 2.5 '$HOME'\n"


def test_an_argument_that_begins_with_a_sharp_is_remarked_upon(expanded: Expanded) -> None:
    said = "mpifarm: args.txt:3 begins with #: of arguments none is a comment, so it has become a task like any other\n"
    for source in (["args.txt"], ["::::", "args.txt"]):
        assert expanded("./run", *source) == (b"./run 'a b'\n\n./run '#c'\n./run 'it'\"'\"'s'\n", said)
    assert expanded("./run", "--quiet", "args.txt")[1] == ""
    assert expanded("./run", ":::", "#c") == (b"./run '#c'\n", "")  # who typed it knows


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((":::",), "--expand: ::: has no values: that would be a list without a task"),
        (("empty",), "--expand: empty has no values: that would be a list without a task"),
        (("blank",), "--expand: blank has no values: that would be a list without a task"),
        (("--params", "head.csv"), "--expand: head.csv has no values: that would be a list without a task"),
        (("nosuch",), "no list of arguments nosuch: give a file of them, one a line, or a range, 1-1000"),
        (("--params", "nosuch"), "cannot read nosuch: No such file or directory"),
        (("::::", "nosuch"), "cannot read nosuch: No such file or directory"),
        (("--header", "1-10"), "--header is for the lines of a file, and 1-10 is a range: leave it out"),
    ],
)
def test_what_makes_no_task_is_told_and_nothing_is_printed(words: tuple[str, ...], said: str, expanded: Expanded) -> None:
    Path("empty").touch()
    Path("blank").write_text("\n\n")
    Path("head.csv").write_text("a,b\n")
    assert expanded("./run {}", *words, code=2) == (b"", f"mpifarm: {said}\n")


def test_what_turns_out_wrong_on_the_way_is_told_with_its_line_and_that_not_all_is_there(expanded: Expanded) -> None:
    Path("rows").write_text("1,2\n" * 50_000 + "3\n")
    out, err = expanded("./run {1} {2}", "--colsep", ",", "rows", code=2)
    assert err == ("mpifarm: rows:50001: no column {2}: the row has 1 column; what was printed before that is not all\n")
    assert out.startswith(b"./run 1 2\n")


@pytest.mark.parametrize("template", ["./run '{}", "cat <<EOF {}", "for i in {}; do", "./run {} \\", "./run {} &&"])
def test_a_template_that_is_no_whole_command_is_refused(template: str) -> None:
    with pytest.raises(FarmError) as error:
        expand.write(Each(template), [":::", "a"], None, None, quiet=False)
    said = str(error.value)
    assert said.startswith("--expand: ") or said.startswith("--each ")
    assert "line" in said or "quote" in said


@pytest.mark.parametrize("words", [("args.txt",), ("::::", "runs.csv", "args.txt"), ("--params", "args.txt")])
def test_it_is_not_printed_into_what_is_read(words: tuple[str, ...]) -> None:
    """A list that read what it has printed would have no end: so the file may not grow for ever here."""
    before = Path("args.txt").read_bytes()
    line = f"ulimit -f 100; exec {shlex.join([*PROGRAM, '--expand', './run', *words])} >> args.txt"
    ended = subprocess.run(["bash", "-c", line], stderr=subprocess.PIPE, check=False, timeout=120)
    assert (ended.returncode, Path("args.txt").read_bytes()) == (2, before)
    assert b"standard output is args.txt" in ended.stderr


def test_a_reader_who_has_enough_is_told_nothing() -> None:
    line = f"{sys.executable} -m mpifarm --expand './run {{1}}' 1-100000000 | head -n 2; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", line], capture_output=True, check=False, timeout=120)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, b"./run 1\n./run 2\n", b"")


def test_a_thousand_million_combinations_are_a_stream(tmp_path: Path) -> None:
    """Of three files of a thousand lines; what is printed first is there at once, in little memory."""
    Path("many").write_text("".join(f"{number}\n" for number in range(1000)))
    words = [*PROGRAM, "--expand", "./run {1} {2} {3}", "::::", "many", "many", "many"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as expanding:
        assert expanding.stdout is not None
        assert expanding.stderr is not None
        read = 0
        while read < 4 * 1024 * 1024:
            read += len(expanding.stdout.read(256 * 1024))
        expanding.stdout.close()
        assert (expanding.wait(), expanding.stderr.read()) == (2, b"")
    after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert after <= max(before, 60 * 1024)  # KiB: Python and numpy take half of it


def test_an_interrupt_is_told_in_one_line() -> None:
    words = [*PROGRAM, "--expand", "./run {}", "1-1000000000"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as expanding:
        assert expanding.stdout is not None
        assert expanding.stderr is not None
        assert expanding.stdout.readline() == b"./run 1\n"
        expanding.send_signal(signal.SIGINT)
        while expanding.stdout.read(1024 * 1024):
            time.sleep(0)
        assert expanding.stderr.read() == b"mpifarm: --expand: interrupted, and not all is printed\n"
        assert expanding.wait() == 2


def test_only_the_first_process_prints() -> None:
    environ = {**os.environ, "PMI_RANK": "1", "PMI_SIZE": "2"}
    ended = subprocess.run([*PROGRAM, "--expand", "x {}", ":::", "a"], env=environ, capture_output=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
