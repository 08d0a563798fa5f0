"""Directives, variables and fields of other farms: which are found, and what is said of them."""

from __future__ import annotations

import pytest

from mpifarm.tasks import foreign
from mpifarm.tasks.quoting import read

SECOND_LIST = "second list: python -m mpifarm first.txt && python -m mpifarm second.txt"


def found(lines: bytes, dash: bool = True) -> list[tuple[int, bytes]]:
    return list(foreign.directives(lines, dash))


@pytest.mark.parametrize(
    "directive",
    [
        *(
            b"#DISBATCH BARRIER",
            b"#DISBATCH REPEAT 20 start 5 ./sim.sh",
            b"#HYPERSHELL: cores:4",
            b"#HYPERSHELL",
            b"#HQ --cpus=2",
        ),
        *(
            b"# HYPERSHELL: group:1",
            b"#METAQ NODES 2",
            b"#SBATCH -n 4",
            b"#mpifarm",
            b"#mpifarm barrier",
            b"#MPIFARM cpus=2",
        ),
        *(b"#mpifarm-words", b"#DISBATCH"),
    ],
)
def test_a_directive_is_found_alone_and_behind_a_task(directive: bytes) -> None:
    assert found(b"echo 1\n" + directive + b"\necho 2\n") == [(7, directive)]
    assert found(b"echo 1\necho 2  " + directive + b"\r\n") == [(7, directive)]
    assert found(b"  " + directive) == [(0, directive)]
    assert found(b"\xef\xbb\xbf" + directive) == [(0, directive)]
    assert found(b"echo 'a b' \"c $(d)\";" + directive) == [(0, directive)]
    assert found(b"echo a # see below " + directive) == [(0, directive)]


@pytest.mark.parametrize(
    "line",
    [
        *(
            b"bash -c './a #mpifarm cpus=2'",
            b'echo " #DISBATCH BARRIER"',
            b"echo \\#SBATCH",
            b"echo a#HQ x",
            b"grep '^#SBATCH' f",
        ),
        *(
            b"# see #DISBATCH BARRIER",
            b"##SBATCH -n 4",
            b"# mpifarm runs this",
            b"#HQS a",
            b"#DISBATCHES",
            b"# DISBATCH BARRIER",
        ),
        *(b"sed -i s/#SBATCH/#/ f", b"echo ${x#HQ }", b"# METAQ NODES"),
    ],
)
def test_what_is_no_directive_is_not(line: bytes) -> None:
    assert found(b"echo 1\n" + line + b"\n") == []


def test_where_the_comment_begins_depends_on_the_shell() -> None:
    line = b"echo $'a\\' #mpifarm b'"
    assert found(line, dash=True) == [(0, b"#mpifarm b'")]
    assert found(line, dash=False) == []


def test_a_directive_in_a_line_that_nobody_is_sure_of_is_found() -> None:
    assert found(b"x=\"$(case a in a) echo ')' ;; esac)\" #mpifarm cpus=2") == [(0, b"#mpifarm cpus=2")]


def test_every_line_with_one_is_found_once() -> None:
    lines = b"a #HQ x #HQ y\nb '#HQ z'\n#HQ 1\n#\n\nc #mpifarm d\n"
    assert found(lines) == [(0, b"#HQ x #HQ y"), (24, b"#HQ 1"), (33, b"#mpifarm d")]


@pytest.mark.parametrize(
    ("directive", "words"),
    [
        (b"#DISBATCH BARRIER", ["disBatch's", "no order", SECOND_LIST]),
        (b"#DISBATCH PREFIX cd /x; ", ["disBatch's", "sed 's|.*|PREFIX & SUFFIX|'", "--each 'PREFIX {} SUFFIX' FILE"]),
        (b"#DISBATCH REPEAT 20 start 5 ./sim.sh", ["disBatch's", "export DISBATCH_REPEAT_INDEX={}; ./sim.sh' 5-24"]),
        (b"#DISBATCH REPEAT 20", ["disBatch's", "--each './sim.sh {}' 1-20"]),
        (b"#DISBATCH PERENGINE START x", ["disBatch's", "srun before the farm"]),
        (b"#HYPERSHELL: cores:4 group:1", ["HyperShell's", "--threads N", SECOND_LIST]),
        (b"#HYPERSHELL: timeout:60 memory:2GB", ["HyperShell's", "--timeout TIME", "--threads N"]),
        (b"#METAQ MIN_WC_TIME 5:00", ["METAQ's", "--time-request TIME"]),
        (b"#HQ --cpus=4 --time-limit=1h", ["HyperQueue's", "--threads N", "--timeout TIME"]),
        (b"#HQ --crash-limit=3", ["HyperQueue's", "--retries N"]),
        (b"#SBATCH -n 4", ["sbatch", "head of a batch script"]),
        (b"#mpifarm cpus=4 retries=2", ["this version knows no #mpifarm words", "--threads N", "--retries N"]),
        (b"#mpifarm nonsense", ["this version knows no #mpifarm words", "take it out"]),
        (b"#METAQ \xff", ["METAQ's", "take it out"]),
    ],
)  # fmt: skip
def test_a_directive_is_answered_with_our_word_for_it(directive: bytes, words: list[str]) -> None:
    said = foreign.advice(directive)
    assert [word for word in words if word not in said] == []


@pytest.mark.parametrize(
    ("directive", "ours"),
    [
        ("20 start 5 ./sim.sh $DISBATCH_REPEAT_INDEX", "'./sim.sh {}' 5-24"),
        ("20 ./sim.sh ${DISBATCH_REPEAT_INDEX} > o.$DISBATCH_REPEAT_INDEX", "'./sim.sh {} > o.{}' 0-19"),
        ("3 start 100 step 7 X=$DISBATCH_REPEAT_INDEX ./sim.sh", "'X={} ./sim.sh' 100-114:7"),
        ("1 start 4 ./sim.sh $DISBATCH_REPEAT_INDEX", "'./sim.sh {}' 4"),
        ('2 ./s "$DISBATCH_REPEAT_INDEX"', "'export DISBATCH_REPEAT_INDEX={}; ./s \"$DISBATCH_REPEAT_INDEX\"' 0-1"),
        ("2 ./s $DISBATCH_REPEAT_INDEXES", "'export DISBATCH_REPEAT_INDEX={}; ./s $DISBATCH_REPEAT_INDEXES' 0-1"),
    ],
)
def test_a_repeat_is_answered_with_the_line_that_does_it(directive: str, ours: str) -> None:
    said = foreign.advice(f"#DISBATCH REPEAT {directive}".encode())
    assert said.endswith(f"a task here: python -m mpifarm --each {ours}")


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        (b"./fit out/$LAUNCHER_TSK_ID", "$MPIFARM_SEQ"), (b'./fit "out/${DISBATCH_TASKID}"', "$MPIFARM_SEQ"),
        (b"./fit $SLURM_ARRAY_TASK_ID", "$MPIFARM_SEQ"), (b"./fit $SGE_TASK_ID", "$MPIFARM_SEQ"),
        (b"./fit $PBS_ARRAYID", "$MPIFARM_SEQ"), (b"./fit $LSB_JOBINDEX", "$MPIFARM_SEQ"),
        (b"./fit $PYL_ID ?.log > log.$PYL_ID", "$MPIFARM_SEQ"), (b"./fit $(f $HQ_TASK_ID)", "$MPIFARM_SEQ"),
        (b"./fit `f $HQ_TASK_ID`", "$MPIFARM_SEQ"), (b"./fit $((PARALLEL_SEQ + $PARALLEL_SEQ))", "$MPIFARM_SEQ"),
        (b"./fit ${PARALLEL_SEQ:-0}", "$MPIFARM_SEQ"), (b"./fit $PARALLEL_JOBSLOT", "$MPIFARM_SLOT"),
        (b"./fit $HQ_ENTRY", "--each 'HQ_ENTRY={} ./prog' FILE"),
        (b"./fit $LAUNCHER_TSK_ID", "$MPIFARM_SLOT"), (b"./fit $LAUNCHER_NJOBS", "not told how many"),
        (b"./fit $SLURM_ARRAY_TASK_ID", "--each 'SLURM_ARRAY_TASK_ID={} ./prog' 1-1000"),
        (b"SLURM_ARRAY_TASK_ID=3 ./fit $SLURM_ARRAY_TASK_ID", "looked up before"),
        (b"cd a; A=b HQ_ENTRY='c d' ./fit \"$HQ_ENTRY\"", "write HQ_ENTRY=...; before it"),
        (b"./fit $HQ_INSTANCE_ID", "$MPIFARM_ATTEMPT"), (b"./fit $LAUNCHER_PPN", "$MPIFARM_THREADS"),
    ],
)  # fmt: skip
def test_a_variable_of_another_farm_is_answered_with_ours(line: bytes, ours: str) -> None:
    said = foreign.variable(read(line, dash=True), known=())
    assert said is not None
    assert ours in said


@pytest.mark.parametrize(
    "line",
    [
        *(b"parallel 'echo $PARALLEL_SEQ' ::: a b", b"echo \\$HQ_TASK_ID", b"a # $PYL_ID", b"PYL_ID=3; ./fit $PYL_ID"),
        *(
            b"for HQ_X in 1 2; do ./fit $HQ_X; done",
            b"read PYL_X < f; ./fit $PYL_X",
            b"./fit ${HQ_TASK_ID:?}",
            b"HQ_ENTRY=a; ./fit $HQ_ENTRY",
            b"HQ_ENTRY=a && ./fit $HQ_ENTRY",
            b"export HQ_ENTRY=a; ./fit $HQ_ENTRY",
            b"HQ_ENTRY=a sh -c './fit $HQ_ENTRY'",
            b"HQ_ENTRY=a ./fit; HQ_ENTRY=b; ./fit $HQ_ENTRY",
            b"./fit $HQ",
        ),
        *(b"./fit $MPIFARM_SEQ $LAUNCHER", b"./fit HQ_TASK_ID", b"./fit $SLURM_JOB_ID"),
    ],
)
def test_a_variable_that_is_none_or_is_set_is_let_be(line: bytes) -> None:
    assert foreign.variable(read(line, dash=True), known=()) is None


def test_a_variable_that_the_tasks_find_set_is_let_be() -> None:
    line = read(b"./fit $LAUNCHER_DIR $LAUNCHER_JID", dash=True)
    assert foreign.variable(line, known={"LAUNCHER_DIR", "LAUNCHER_JID"}) is None
    assert "$LAUNCHER_JID" in (foreign.variable(line, known={"LAUNCHER_DIR"}) or "")


@pytest.mark.parametrize(
    "field", ["{}", "{#}", "{%}", "{.}", "{/}", "{//}", "{/.}", "{1}", "{2.}", "{3/}", "{1//}", "{2/.}"]
)
def test_a_field_is_found_and_quoting_it_is_the_way_to_keep_it(field: str) -> None:
    said = foreign.replacement(read(f"./run.sh a > log.{field}".encode(), dash=True))
    assert said is not None
    assert field in said
    assert ("$MPIFARM_SEQ" in said) == (field == "{#}")
    for quoted in (f"./run.sh '{field}'", f'./run.sh "{field}"', f"./run.sh # {field}", f"./run.sh ${field}"):
        assert foreign.replacement(read(quoted.encode(), dash=True)) is None
    for user in (
        "find . -exec rm",
        "xargs",
        "ls | /usr/bin/parallel",
        "fd x -x",
        "rush",
        "x -I{} y",
        "x -I % y",
        "x -execdir",
    ):
        assert foreign.replacement(read(f"{user} {field} < f".encode(), dash=True)) is None


@pytest.mark.parametrize("line", [b"git log HEAD@{1}", b"ls a[0-9]{4}", b"echo {a,b} {1..3} { }", b"f() { a; }", b"x={a}"])
def test_other_braces_are_let_be(line: bytes) -> None:
    assert foreign.replacement(read(line, dash=True)) is None


def test_a_program_that_is_only_called_like_one_does_not_use_fields() -> None:
    assert foreign.replacement(read(b"./find.py {} --rush-hour", dash=True)) is not None
