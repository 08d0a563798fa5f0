"""Lists from the field, opened: what is refused, in which words, with nothing touched; and what is only remarked upon."""

from __future__ import annotations

from pathlib import Path

import pytest

from mpifarm import FarmError
from mpifarm.journal.opening import Run, open_run
from mpifarm.settings import Config
from mpifarm.tasks import check
from mpifarm.tasks.lint import is_dash
from mpifarm.tasks.tfin import command_of
from mpifarm.tasks.walk import Walk

LIST = Path("tasks.txt")

WAIT = (
    b"./part.sh 1 > part.1\n./part.sh 2 > part.2\n./part.sh 3 > part.3\n./part.sh 4 > part.4\nwait\ncat part.* > merged\n"
)
BACKGROUND = b"./m.sh 0 &> out.0\n./m.sh 1 &> out.1\n./m.sh 2 > out.2 &\n"
DIRECTIVES = b"/bin/true #mpifarm cpus=2\n#DISBATCH BARRIER\n/bin/true  #HYPERSHELL: cores:4 group:1\n"
DIRECTIVE_ALONE = b"#DISBATCH REPEAT 20 start 5 ./sim.sh $DISBATCH_REPEAT_INDEX\n"
VARIABLES = b"./fit.sh --dir out/$LAUNCHER_TSK_ID 1\n./fit.sh --dir out/$LAUNCHER_TSK_ID 2\n./run.sh {} > log.{#}\n"
MARK = b"\xef\xbb\xbfecho first\necho second\n"
RETURNS = b"echo one\recho two\recho three\r"
NO_TASKS = b"cd sub\nexport X=5\necho X=$X\necho a \\\n  b\nfor i in 1 2; do\necho $i\ndone\n"
BASH = b"echo {1..3}\n[[ a == a ]] && echo yes\nsource env.sh\necho $((RANDOM > 0))\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mpifarm.tasks.lint.is_dash", lambda _: True)


def opened(content: bytes, **options: object) -> Run:
    LIST.write_bytes(content)
    return open_run(Config("tasks.txt", **options))  # type: ignore[arg-type]


def snapshot() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path().iterdir()}


def refusal(content: bytes, **options: object) -> str:
    """Return what *content* is refused for, which leaves nothing behind."""
    with pytest.raises(FarmError) as error:
        opened(content, **options)
    assert snapshot() == {"tasks.txt": content}
    return str(error.value)


def commands(run: Run) -> list[bytes]:
    """Return what would be run."""
    records = Walk(run.scan.descriptor, run.scan.size, 0, 1).take(run.scan.tasks).tolist()
    content = run.tasklist.tfin.read_bytes()
    return [command_of(content[offset : offset + length]) for offset, length, _ in records]


REFUSALS: dict[str, tuple[bytes, str, list[str]]] = {
    "wait before a merge": (WAIT, "anyway", ["tasks.txt:5: ", '"wait"', "no order", "second list"]),
    "lines that are no tasks": (
        NO_TASKS,
        "anyway",
        ["tasks.txt:4-5: ", "backslash", "sh ./tasks.4-5.sh", "(1 more such line)"],
    ),
    "directives": (DIRECTIVES, "ignore_directives", ["tasks.txt:1: ", '"#mpifarm cpus=2"', "knows no #mpifarm words"]),
    "a directive alone": (DIRECTIVE_ALONE, "ignore_directives", ["tasks.txt:1: ", "disBatch's", "./sim.sh {}' 5-24"]),
    "variables": (
        VARIABLES,
        "ignore_directives",
        ["tasks.txt:1: ", "$LAUNCHER_TSK_ID", "$MPIFARM_SEQ", "(2 more such lines)"],
    ),
    "fields": (b"./run.sh {} > log.{#}\n", "ignore_directives", ["tasks.txt:1: ", "{}", "'{}'"]),
    "carriage returns alone": (RETURNS, "anyway", ["tasks.txt:1: ", "old line ends", "tr '\\r' '\\n'"]),
    "a comment before carriage returns": (b"# a\r" + RETURNS, "anyway", ["tasks.txt:1: ", "old line ends"]),
    "only what is for sbatch": (b"#SBATCH -n 4\n", "ignore_directives", ["tasks.txt:1: ", "head of a batch script"]),
    "what is for sbatch behind the head": (b"echo 1\n#SBATCH -n 4\n", "ignore_directives", ["tasks.txt:2: "]),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_list_that_cannot_be_meant_is_refused_and_runs_when_that_is_asked_for(case: str) -> None:
    content, option, words = REFUSALS[case]
    said = refusal(content)
    assert [word for word in words if word not in said] == []
    assert "\n" not in said
    assert f"give --{option.replace('_', '-')} " in said
    other = {"anyway": "ignore_directives", "ignore_directives": "anyway"}[option]
    if case not in ("variables", "fields"):  # for those either will do
        assert refusal(content, **{other: True}) == said
    run = opened(content, **{option: True})
    lines = [line for line in content.split(b"\n") if line and not line.startswith(b"#")]
    assert commands(run) == [line.removesuffix(b"\r") for line in lines]


def test_a_list_that_is_refused_at_a_resume_leaves_the_progress_alone() -> None:
    run = opened(b"echo 1\n", rerun=True)
    assert run.journal
    run.journal.close()
    run.lock.release()
    Path("progress.tasks.txt.tfin").write_bytes(b"0 n-1 0.1 2 1 9\n")
    for grown in (b"echo 1\nwait\n", b"echo 1\n#HQ x\n", b"echo 1\necho 2\recho 3\n", b"echo 1\n./a {}\n"):
        LIST.write_bytes(grown)
        before = snapshot()
        with pytest.raises(FarmError, match=r"tasks\.txt:2: "):
            opened(grown)
        assert snapshot() == before
        with pytest.raises(FarmError, match=r"tasks\.txt:2: "):
            opened(grown, rerun=True)
        assert snapshot() == before


def test_a_list_that_is_done_is_not_judged() -> None:
    content = WAIT + DIRECTIVES + BACKGROUND
    LIST.write_bytes(content)
    Path("tasks.txt.tfin").write_bytes(b"".join(b"> %s\n" % line for line in content.split(b"\n")[:-1] if line[:1] != b"#"))
    Path("done.tasks.txt.tfin").write_bytes(b"done")
    before = snapshot()
    run = opened(content)
    assert [notice.partition(" by ")[0] for notice in run.notices] == ["tasks.txt: nothing was run: all 11 tasks were done"]
    assert snapshot() == before


def test_variables_that_the_tasks_find_set_are_let_be() -> None:
    run = opened(VARIABLES.partition(b"./run.sh")[0], variables=frozenset({"LAUNCHER_TSK_ID"}))
    assert run.notices == ["tasks.txt: 2 tasks"]


@pytest.mark.parametrize(
    ("content", "remarks"),
    [
        (BACKGROUND, {"tasks.txt:1: ": ["& >", "1 more such line)"], "tasks.txt:3: ": ["killed when the farm ends"]}),
        (
            BASH,
            {
                "tasks.txt:1: ": ["{1..3}", "--shell", "3 more such lines)"],
                "tasks.txt:3: ": ["source env.sh", "shell of its own"],
            },
        ),
        (b"cd sub\nexport X=5\n./a\n", {"tasks.txt:1: ": ["cd sub", "shell of its own", "1 more such line)"]}),
    ],
)
def test_what_may_be_meant_is_remarked_upon_and_run(content: bytes, remarks: dict[str, list[str]]) -> None:
    run = opened(content)
    assert run.journal
    said = dict(zip(remarks, run.notices[1:], strict=True))
    assert all(told.startswith(place) for place, told in said.items())
    assert [word for place, words in remarks.items() for word in words if word not in said[place]] == []


def test_where_the_shell_is_bash_nothing_is_said_of_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mpifarm.tasks.lint.is_dash", lambda _: False)
    assert opened(BASH).notices[1:] == [notice for notice in opened_notices() if "source env.sh" in notice]
    assert "dash" not in "".join(opened_notices())


def opened_notices() -> list[str]:
    for path in Path().iterdir():
        path.unlink()
    return opened(BASH).notices


def test_dash_is_known_by_what_its_path_leads_to(tmp_path: Path) -> None:
    for name in ("dash", "bash"):
        (tmp_path / name).touch()
        (tmp_path / f"to-{name}").symlink_to(name)
    assert [is_dash(str(tmp_path / name)) for name in ("dash", "to-dash", "bash", "to-bash")] == [True, True, False, False]


# long lists


def test_both_ends_of_a_long_list_are_read_and_lines_are_numbered_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "LOOK_BYTES", 1000)
    lines = [b"./fit %d" % number for number in range(1, 5001)]
    lines[4998] = b"wait"
    lines[2500] = b"./fit 'open"  # neither end shows it
    assert refusal(b"\n".join(lines) + b"\n").startswith('tasks.txt:4999: "wait"')
    lines[4998] = b"cd sub"
    lines[4999] = b"cd sub2"
    run = opened(b"# head\n" + b"\n".join(lines) + b"\n")
    assert run.notices[1].startswith('tasks.txt:5000: "cd sub"')
    assert run.notices[1].endswith("(at least 1 more such line)")


@pytest.mark.parametrize("size", range(20, 60))
def test_a_line_that_the_look_cuts_is_not_judged(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "LOOK_BYTES", size)
    assert len(opened(b"echo 'a b c d e f g h'; cat '1 2 3'\n" * 20).notices) == 1


def test_a_directive_in_the_middle_of_a_long_list_is_found() -> None:
    lines = [b"./fit %d" % number for number in range(1, 200_001)]
    lines[99_999] = b"./fit 1 #HYPERSHELL: cores:4"
    assert refusal(b"\n".join(lines)).startswith('tasks.txt:100000: "#HYPERSHELL: cores:4" is HyperShell')


# bytes


def test_a_byte_order_mark_is_cut_from_the_command_and_not_from_the_record() -> None:
    run = opened(MARK + b"\xef\xbb\xbfecho third\r\n")
    assert commands(run) == [b"echo first", b"echo second", b"echo third"]
    assert run.tasklist.tfin.read_bytes() == b"> \xef\xbb\xbfecho first\n> echo second\n> \xef\xbb\xbfecho third\r\n"
    assert "tasks.txt:1: a byte-order mark: it is left out of the command" in run.notices


@pytest.mark.parametrize("first", [b"# a comment", b"", b" \t", b"#", b"  # indented", b"\r"])
def test_a_first_line_of_a_byte_order_mark_and_no_command_is_no_task(first: bytes) -> None:
    run = opened(b"\xef\xbb\xbf" + first + b"\necho 1\n")
    assert (run.scan.tasks, commands(run)) == (1, [b"echo 1"])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_called_by_its_name(encoding: str) -> None:
    said = refusal("echo 1\r\necho 2\r\n".encode(encoding))
    assert encoding.upper().replace("16-", "16") in said
    assert "iconv -f UTF-16" in said
    assert refusal("echo é\n".encode(encoding), anyway=True, ignore_directives=True).startswith(
        "tasks.txt is text in UTF-16"
    )


@pytest.mark.parametrize("content", [VARIABLES, b"./a {}\n"])
def test_words_of_other_farms_run_anyway(content: bytes) -> None:
    assert commands(opened(content, anyway=True)) == content.split(b"\n")[:-1]


# steps


def test_a_srun_that_would_wait_for_the_farms_step_is_told_before_it_does() -> None:
    content = b"# srun ./x\necho 1 # srun\nsrun --overlap ./x\n./prepare && srun --exclusive -N1 -n1 ./x 1\nsrun ./x 2\n"
    _, told = opened(content, steps_wait=True).notices
    assert told == (
        'tasks.txt:4: "./prepare && srun --exclusive -N1 -n1 ./x 1": '
        "srun in a task waits for the farm's own step, which has all CPUs of the job: start the farm with srun --overlap"
    )


def test_a_srun_that_does_not_wait_is_not_remarked_upon() -> None:
    assert opened(b"srun --exclusive -N1 -n1 ./x 1\n").notices[1:] == []


def test_where_all_care_for_themselves_nothing_is_told() -> None:
    assert opened(b"srun --overlap ./x\nmpiexec -launcher fork ./x\n", steps_wait=True).notices[1:] == []
