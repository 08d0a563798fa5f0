"""What is answered to other programs' options: of this version, and the truth."""

from __future__ import annotations

import re

import pytest

from mpifarm import foreign_options, options

OURS = set(options.parser().options)
NAMES = [option for entry in foreign_options.TABLE for option in entry.options.split()]
# What belongs to who starts the ranks, in an example of that.
OTHERS = re.compile(r"mpiexec -n 3 python -m|srun -N 2 -c 128 python -m|python -m|slurm/gpu\.sbatch|'s -k:|-c 128")


def test_no_option_is_answered_twice_and_none_of_ours() -> None:
    assert len(NAMES) == len(set(NAMES))
    assert OURS.isdisjoint(NAMES)


@pytest.mark.parametrize("entry", foreign_options.TABLE, ids=lambda entry: entry.options.split()[0])
def test_an_answer_names_no_option_that_this_version_does_not_have(entry: foreign_options.Entry) -> None:
    words = OTHERS.sub("", f"{entry.whose} {entry.here}")
    assert set(re.findall(r"(?<![\w.-])--?[A-Za-z][\w-]*", words)) <= OURS


@pytest.mark.parametrize("entry", foreign_options.TABLE, ids=lambda entry: entry.options.split()[0])
def test_an_answer_names_the_option_and_whose_it_is_in_one_line(entry: foreign_options.Entry) -> None:
    for option in entry.options.split():
        answer = foreign_options.answer(option)
        assert answer
        assert answer.startswith(f"{option} is ")
        assert entry.whose in answer
        assert "\n" not in answer


@pytest.mark.parametrize(
    ("word", "option"),
    [
        ("--halt=2", "--halt"),
        ("--halt=soon,fail=1", "--halt"),
        ("-halt", "--halt"),
        ("-resume", "-resume"),
        ("-n4", "-n"),
        ("-I{}", "-I"),
        ("-P8", "-P"),
        ("-np", "-np"),
    ],
)
def test_an_option_is_known_in_all_its_forms(word: str, option: str) -> None:
    assert (foreign_options.answer(word) or "").startswith(f"{option} is ")


@pytest.mark.parametrize("word", ["--nonsense", "-nonsense", "--", "tasks.txt", "", "-y4", "::", ":::", "n4", "d", "-"])
def test_what_nobody_knows_is_not_answered(word: str) -> None:
    assert foreign_options.answer(word) is None


@pytest.mark.parametrize(
    ("option", "word"),
    [
        *(
            (name, "the same line again")
            for name in ["--resume", "--resume-failed", "--retry-failed", "-r", "-R", "--restart", "-resume"]
        ),
        *((name, "a bar is shown on a terminal") for name in ("--eta", "--progress", "--jps")),
        *((name, "joblog.TASKLIST.tfin has the numbers of their lines") for name in ("-k", "--keep-order")),
        ("--tag", "$MPIFARM_SEQ"),
        ("--dryrun", "--check"),
        *((name, "--max-fails N") for name in ("--halt", "--fail-fast")),
        *(
            (name, "-j N")
            for name in ["--cpus", "--cpus-per-task", "-c", "-n", "-N", "-t", "-P", "--jobs", "--mem", "--memfree"]
        ),
        ("--time-limit", "--timeout TIME"),
        ("--time", "--walltime TIME"),
        ("--results", "--output FILE"),
        ("--delay", "sleep"),
        *((name, "--each TEMPLATE") for name in ("-a", "--arg-file", "-I", "--each-line", "--from-json", "--template")),
        ("-C", "--colsep REGEX"),
        ("--link", "::: a b :::+ 1 2"),
        ("-0", "by tr"),
        ("--pipe", "--each './prog < {}' PARTS"),
        ("-failed_cmds", "--failed TASKLIST"),
        ("-CPU", "-j N"),
        ("--array", "--each 'SLURM_ARRAY_TASK_ID={} ./prog' 1-1000"),
        ("--each-line", "'HQ_ENTRY={} ./prog'"),
        ("-n", "a whole command"),
    ],
)
def test_the_answer_is_what_to_do(option: str, word: str) -> None:
    assert word in (foreign_options.answer(option) or "")
