"""A list of arguments is opened: its .tfin file holds commands, a changed template is a changed list, and is told so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from test_claim import opened, ran, refused
from test_repeating import finished

from mpifarm import FarmError
from mpifarm.journal import identity
from mpifarm.journal.names import Names
from mpifarm.settings import Each

ARGS = Path("args.txt")
NAMES = Names(Path("args.txt.tfin"))
EACH = Each("./run {}")
RANGE = Each("SLURM_ARRAY_TASK_ID={} ./element.sh", elements="1-3,7")
LABEL = "element.sh.1-3,7"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    monkeypatch.chdir(directory)
    ARGS.write_bytes(b"a b\n#c\n\nd\n")


def begun(count: int = 1, each: Each | None = EACH, tasklist: str = "args.txt", **options: Any) -> None:
    ran(count, tasklist=tasklist, each=each, **options)


def gone_on(each: Each | None = EACH, tasklist: str = "args.txt", **options: Any) -> tuple[list[str], list[int]]:
    """Run all that is left; return what was told at the start, and the offsets of what ran."""
    run = opened(tasklist=tasklist, each=each, **options)
    return run.notices, finished(run)


def told(each: Each | None = EACH, tasklist: str = "args.txt", **options: Any) -> str:
    """Return what a start is refused with, to the letter; it has changed nothing."""
    with pytest.raises(FarmError) as error:
        opened(tasklist=tasklist, each=each, **options)
    refused(f"^{re.escape(str(error.value))}$", tasklist=tasklist, each=each, **options)
    return str(error.value)


# what runs


def test_the_tfin_file_holds_the_commands_and_a_task_is_named_by_the_line_of_its_argument() -> None:
    run = opened(tasklist="args.txt", each=EACH)
    assert NAMES.tfin.read_bytes().splitlines() == [b"> ./run 'a b'", b"> ./run '#c'", b"> ", b"> ./run d"]
    assert run.notices[0] == "args.txt: 3 tasks; 1 empty line, no task"
    assert run.notices[1] == "args.txt:2: it begins with #, and is an argument like any other, not a comment"
    assert [run.tasklist.numbering.name(seq) for seq in (1, 4)] == ["task 1 (args.txt:1)", "task 4 (args.txt:4)"]


def test_the_header_is_no_task_and_is_counted_as_a_line() -> None:
    ARGS.write_bytes(b"HQ\n1\n2\n\n\n3\n")
    run = opened(tasklist="args.txt", each=Each("./run {1} {#}", colsep=",", header=True))
    assert NAMES.tfin.read_bytes() == b"> ./run 1 1\n> ./run 2 2\n> \n> \n> ./run 3 5\n"
    assert run.notices == ["args.txt: 3 tasks; 2 empty lines, no tasks"]
    assert run.tasklist.numbering.name(5) == "task 5 (args.txt:6)"


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_without_arguments_there_is_nothing_to_do(content: bytes) -> None:
    ARGS.write_bytes(content)
    assert opened(tasklist="args.txt", each=EACH).notices == ["args.txt has no tasks: nothing to do"]
    ARGS.write_bytes(b"name\n" + content)
    assert opened(tasklist="args.txt", each=Each("./run {}", header=True)).notices == [
        "args.txt has no tasks: nothing to do"
    ]


def test_it_goes_on_and_may_grow_at_its_end() -> None:
    begun(2)
    ARGS.write_bytes(ARGS.read_bytes() + b"e\n")
    notices, tasks = gone_on()
    assert notices[0] == "args.txt: 4 tasks, 2 done; 1 more than when it was last run; 1 empty line, no task"
    assert len(tasks) == 2
    assert "nothing was run: all 4 tasks were done" in opened(tasklist="args.txt", each=EACH).notices[-1]


def test_what_ended_with_rerun_begins_anew_as_it_is_given() -> None:
    begun()
    notices, _ = gone_on(each=None, rerun=True, anyway=True)
    assert "args.txt was begun with --each './run {}': its lines run as commands now" in notices
    notices, tasks = gone_on(rerun=True)
    assert "args.txt was begun without --each, as a list of commands: its lines are arguments now" in notices
    assert len(tasks) == 3


# a changed template


def test_another_template_is_a_changed_list_and_is_told_as_such() -> None:
    begun()
    assert told(Each("./run -v {}")) == (
        "args.txt has changed since the last run: --each './run {}' has become --each './run -v {}', and the arguments"
        " are the"
        " same: give --edited to go on with what has the same command, the options of that run, or --rerun to run all of it"
        " again"
    )
    assert "--each './run {}' has become --each './run {}' --header, and the ar" in told(Each("./run {}", header=True))
    ARGS.write_bytes(b"A b\n#c\n\nd\n")
    assert " has become --each './run -v {}', and the arguments have changed, too: give --edited" in told(
        Each("./run -v {}")
    )
    assert told() == (
        "args.txt has changed since the last run: line 1 was \"./run 'a b'\", and is \"./run 'A b'\" now: give --edited"
        " to go on"
        " with the lines that are unchanged, restore the list, or give --rerun to run all of it again"
    )


def test_another_template_that_makes_the_same_commands_is_none() -> None:
    begun()
    assert len(gone_on(Each("./run"))[1]) == 2


def test_templates_that_differ_far_behind_are_shown_where_they_do() -> None:
    long = "./run " + "x" * 300
    begun(each=Each(f"{long} 1"))
    said = told(Each(f"{long} 2"))
    assert "xxx 1' has become --each '...xxx" in said
    assert "xxx 2', and the arguments are the same" in said


def test_edited_goes_on_with_what_has_the_same_command() -> None:
    ARGS.write_bytes(b"a,1\na,2\nb,1\n")
    begun(2, Each("./run {1} {2}", ","))
    notices, tasks = gone_on(Each("./run {1} 1", ","), edited=True)
    assert notices[0].startswith(
        "args.txt was edited since the last run: --each './run {1} {2}' --colsep , has become --each './run {1} 1'"
        " --colsep ,; "
    )
    assert len(tasks) == 2  # of ./run a 1, twice there now, one was done
    assert "nothing was run" in opened(tasklist="args.txt", each=Each("./run {1} 1", ",")).notices[-1]


def test_an_edited_template_is_told_without_the_tfin_file_too() -> None:
    begun()
    NAMES.tfin.unlink()
    assert "--each './run {}' has become --each './walk {}': give --edited" in told(Each("./walk {}"))


# with it, and without


def test_a_list_of_arguments_does_not_go_on_as_one_of_commands_nor_the_other_way_round() -> None:
    begun()
    said = (
        "args.txt was begun with --each './run {}', and without it its lines would be run as commands: give it again to"
        " go on,"
        " or --rerun to forget that run and run the lines as commands"
    )
    assert told(None) == said
    assert told(None, edited=True) == said
    gone_on()
    assert told(None) == said  # not: all is done


def test_a_list_of_commands_does_not_go_on_as_one_of_arguments() -> None:
    ARGS.write_bytes(b"./a\n./b\n")
    begun(each=None)
    said = (
        "args.txt was begun without --each, as a list of commands, and its lines would be arguments now: leave --each"
        " out to go"
        " on, or give --rerun to forget that run and begin with --each"
    )
    assert told() == said
    assert told(edited=True) == said
    assert told(Each("command {}")) == said
    gone_on(each=None)
    assert told() == said


def test_who_deletes_progress_starts_over_either_way() -> None:
    begun()
    NAMES.progress.unlink()
    assert "args.txt was begun with --each './run {}': its lines run as commands now" in gone_on(None, anyway=True)[0]


# a range


def test_a_range_goes_on_under_the_name_of_the_program_and_it() -> None:
    begun(2, RANGE, LABEL)
    tfin = Path(f"{LABEL}.tfin").read_bytes()
    assert tfin == b"".join(b"> SLURM_ARRAY_TASK_ID=%d ./element.sh\n" % number for number in (1, 2, 3, 7))
    notices, tasks = gone_on(RANGE, LABEL)
    assert (notices[0], len(tasks)) == (f"{LABEL}: 4 tasks, 2 done", 2)
    assert Path(f"done.{LABEL}.tfin").exists()


def test_another_template_of_that_name_is_a_changed_list() -> None:
    begun(1, RANGE, LABEL)
    other = Each("SLURM_ARRAY_TASK_ID={} /elsewhere/element.sh", elements="1-3,7")
    assert " has become --each 'SLURM_ARRAY_TASK_ID={} /elsewhere/element.sh', and the arguments are the same" in told(
        other, LABEL
    )


def test_another_range_of_that_name_is_a_changed_list() -> None:  # as two long ones might have one
    begun(3, RANGE, LABEL)
    assert "has changed since the last run: line 3 was" in told(Each(RANGE.template, elements="1,3-5"), LABEL)


def test_the_name_alone_is_no_list() -> None:
    begun(1, RANGE, LABEL)
    assert told(None, LABEL) == (
        f"{LABEL} is what a run is called here that was begun with --each 'SLURM_ARRAY_TASK_ID={{}} ./element.sh' 1-3,7:"
        f" to go on"
        " with it give that line again"
    )
    Path(LABEL).write_bytes(b"echo 1\n")
    assert f"{LABEL} was begun with --each" in told(None, LABEL)


def test_what_cannot_be_read_of_such_a_run_is_told() -> None:
    begun(1, RANGE, LABEL)
    checkpoint = Names(Path(f"{LABEL}.tfin")).fastrecovery
    checkpoint.unlink()
    checkpoint.mkdir()
    assert told(None, LABEL) == f"cannot read the files of {LABEL}: {checkpoint}: Is a directory"


# --again, and bad input


def test_again_takes_numbers_and_no_lines_which_could_be_arguments_or_commands() -> None:
    gone_on()
    Path("which").write_bytes(b"d\n")
    assert told(again="which") == (
        "--again which: its lines may be arguments, or the commands that --each makes of them: give the numbers of the"
        " tasks, as"
        " in log and joblog, such as 3,17-20"
    )
    notices, tasks = gone_on(again="4")
    assert "1 task that was done runs again: task 4 (args.txt:4): ./run d" in notices[0]
    assert len(tasks) == 1


BAD = {
    "no file": (
        EACH, "nix.txt", b"", "no list of arguments nix.txt: give a file of them, one a line, or a range, 1-1000",
    ),
    "a directory": (Each("x {}"), "..", b"", ".. is a directory: give a file of them, one a line, or a range, 1-1000"),
    "UTF-16": (
        EACH, "args.txt", "a\nb\n".encode("utf-16"),
        "args.txt is text in UTF-16, which no shell reads: iconv -f UTF-16 -t UTF-8 args.txt > new.txt makes a list of it",
    ),
    "a range without a template": (
        None, "1-100", b"",
        "no task list 1-100: give a file of shell commands, one a line; a range, in place of a file, is for --each TEMPLATE",  # noqa: E501
    ),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_is_told_in_one_line_and_leaves_nothing(bad: str) -> None:
    each, tasklist, content, said = BAD[bad]
    ARGS.write_bytes(content)
    assert told(each, tasklist) == said
    assert list(Path().iterdir()) == [ARGS]


def test_what_cannot_be_expanded_leaves_all_as_it_was() -> None:
    ARGS.write_bytes(b"a,1\n" * 9 + b"b\n")
    refused("args.txt:10: ", tasklist="args.txt", each=Each("./run {2}", ","))
    assert list(Path().iterdir()) == [ARGS]


# what is recorded


@pytest.mark.parametrize(
    "each", [EACH, RANGE, Each("a=b crc=00000000 \udcff\n{}%20", "\t", True), Each("{}", " ", False)], ids=ascii
)
def test_how_arguments_became_commands_is_recorded_and_read_again(each: Each) -> None:
    run = identity.Identity("/a", "/b", None, each=each)
    words = run.words()
    assert all(value.isascii() and value.isprintable() and " " not in value for value in words.values())
    assert identity.of_words(words) == run
    begun(0, EACH)
    found = identity.recorded(NAMES.fastrecovery, NAMES.done)
    assert found and found.each == EACH
    gone_on()
    found = identity.recorded(NAMES.fastrecovery, NAMES.done)
    assert found and found.each == EACH
