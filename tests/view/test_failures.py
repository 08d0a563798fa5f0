"""What is said of attempts that have failed: of which kind they are, and that nothing in it does anything to a terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mpifarm.ended import Ended
from mpifarm.journal.lines import Attempt
from mpifarm.view import failures
from mpifarm.view.failures import Kind, More

ONE = Attempt(
    offset=32, length=14, seq=3, attempt=1, node="n1", slot=2, status=127, flags=0, start=1.7e9, seconds=0.012,
    user_s=0.0, system_s=0.0, rss_kib=0, left=0, out_total=0, command=b"./alignn S3",
)  # fmt: skip
NOT_FOUND = b"sh: 1: ./alignn: not found\n"


def failure(err: bytes, attempt: Attempt = ONE) -> failures.Failure:
    return failures.failure(attempt, memoryview(err))


def test_a_failure_is_told_in_one_line_with_all_that_is_needed() -> None:
    told = failures.told(failure(NOT_FOUND), "tasks.txt:5")
    wanted = 'on n1, exit code 127 after 0.01 s: "sh: 1: ./alignn: not found": ./alignn S3'
    assert told == f"task 3 (tasks.txt:5) {wanted}"


@pytest.mark.parametrize(
    ("changes", "how"),
    [
        ({"status": 1, "seconds": 7200.0}, "exit code 1 after 2 h 0 min"),
        ({"status": -11, "seconds": 9.999}, "killed by SIGSEGV after 10.00 s"),
        ({"flags": Ended.TIMED_OUT, "seconds": 60.0}, "timed out after 60 s"),
    ],
)
def test_how_it_failed_is_told_by_name(changes: dict[str, int], how: str) -> None:
    told = failures.told(failure(b"", replace(ONE, **changes)), "tasks.txt:3")  # type: ignore[arg-type]
    assert told == f"task 3 (tasks.txt:3) on n1, {how}: ./alignn S3"


@pytest.mark.parametrize(
    ("err", "last"),
    [
        (b"", ""),
        (b"\n \n\t\n", ""),
        (b"one\ntwo", "two"),
        (b"one\ntwo\n\n", "two"),
        (b"10 %\r20 %\rdied\r\n", "died"),
        (b"bash: x: not found\nmpifarm: x is there, but its interpreter is not\n", "bash: x: not found"),
        (b"mpifarm: n1: cannot start /bin/sh\n", "mpifarm: n1: cannot start /bin/sh"),
        (b"x" * 100_000 + b"\nlast", "last"),
    ],
)
def test_the_last_line_is_the_one_that_the_task_has_written_last(err: bytes, last: str) -> None:
    assert failure(err).last == last


def test_digits_make_no_other_kind_and_words_and_codes_do() -> None:
    kind = failure(b"no such file: in/318.dat").kind
    assert kind == Kind("exit code 127", "no such file: in/#.dat")
    assert failure(b"no such file: in/77.dat").kind == kind
    assert failure(b"no such dir: in/77.dat").kind != kind
    assert failure(b"no such file: in/77.dat", replace(ONE, status=1)).kind != kind


@pytest.mark.parametrize(
    "text",
    [b"\x1b[2J\x1b]0;owned\x07", b"\xc2\x9b31m", b"\xe2\x80\xae abc", b"a\0b\x7f\x85", b"\xff\xfe", "ü  ".encode()],
    ids=repr,
)
def test_nothing_in_a_command_or_its_output_does_anything(text: bytes) -> None:
    told = failures.told(failure(text, replace(ONE, command=text)), "tasks.txt:3")
    assert told.isprintable()


def test_what_is_long_is_cut() -> None:
    long = b"x" * 100_000
    told = failures.told(failure(long, replace(ONE, command=long)), "tasks.txt:3")
    assert len(told) < 500
    assert told.endswith("x...")


@pytest.mark.parametrize(
    ("status", "limit", "words"),
    [
        (
            127,
            "",
            ["first 24", 'exit code 127, "sh: 1: ./alignn: not found"', "is the program there", "--max-fails 0 would"],
        ),
        (1, "", ["try one of them by hand", "Ctrl-C"]),
        (1, "5%", ["--max-fails 5% will stop"]),
    ],
)
def test_if_all_fail_alike_what_to_do_is_said(status: int, limit: str, words: list[str]) -> None:
    said = failures.all_alike(24, failure(NOT_FOUND, replace(ONE, status=status)), limit)
    assert [word for word in words if word not in said] == []


def test_failures_beyond_the_first_are_told_together_and_once() -> None:
    more = More()
    assert more.take(0, "log") == ""
    for number in range(5):
        attempt = replace(ONE, node=f"n{number}", status=3)
        more.add(failure(b"no in/%d" % number, attempt))
    assert more.take(5, "log") == ('5 more with the same last line (n0, n1, n2, ...): exit code 3, "no in/#"; log has them')
    assert more.take(5, "log") == ""
    more.add(failure(b"", replace(ONE, node="n1", status=3)))
    assert more.take(1, "log") == "1 more like it (n1): exit code 3; log has it"
    for err in (b"a", b"a", b"b"):
        more.add(failure(err, replace(ONE, node="n1", status=3)))
    assert more.take(300, "log") == '300 more of several kinds (n1), 200 of them exit code 3, "a"; log has them'
