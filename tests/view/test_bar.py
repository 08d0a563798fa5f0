"""How far a run is, in one line."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from mpifarm.view.bar import Numbers, Oldest, bar, line, percent, too_long
from mpifarm.view.estimate import End

AT = 1_764_597_600.0  # 14:00:00 UTC
NUMBERS = Numbers(
    10_000, 7131, 5018, 3, 2610, 256, 256, 212.0, AT, End(720, 900, 800, False, 212), median_s=1.1, measured=900
)
TAIL = NUMBERS._replace(done=9986, waiting=0, running=11, oldest=Oldest(540, "nid0012", "./fit 8812"))


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("numbers", "width", "text"),
    [
        (
            NUMBERS._replace(job_end=AT + 7200),
            120,
            " 71 %  [=============>      ]  7,131/10,000  3 failed  256/256 busy  end 14:12-14:15 (job 16:00)  212/s",
        ),
        (
            NUMBERS._replace(end=End(12_000, 14_000, 13_000, True, 1), job_end=AT + 7200, left_over=2914, per_s=0.0),
            130,
            (
                " 71 %  [=============>      ]  7,131/10,000  3 failed  256/256 busy"
                "  end ~17:36 (rough), JOB ENDS 16:00: ~2,900 left over"
            ),
        ),
        (
            TAIL,
            120,
            " 99 %  [==================> ]  9,986/10,000  3 failed  11/256 busy  tail: 9 min nid0012 ./fit 8812",
        ),
        (NUMBERS, 80, " 71 %  [=============>      ]  7,131/10,000  3 failed  256/256 busy"),
        (NUMBERS, 50, " 71 %  [======>   ]  7,131/10,000  3 failed"),
        (NUMBERS, 20, " 71 %  7,131/10,000"),
        (NUMBERS, 4, " 71"),
    ],
)
def test_a_bar_has_the_words_that_fit(numbers: Numbers, width: int, text: str) -> None:
    assert bar(numbers, width) == text
    assert len(text) < width


@pytest.mark.parametrize("width", range(1, 200))
def test_no_bar_is_wider_than_its_terminal_and_each_is_printable_ascii(width: int) -> None:
    odd = TAIL._replace(oldest=Oldest(5e6, "n\u0142", "\u00e9" * 300))
    for text in (bar(NUMBERS, width), bar(odd, width)):
        assert len(text) < width
        assert text.isascii() and (text.isprintable() or not text)


@pytest.mark.parametrize(
    ("done", "total", "share"),
    [(0, 10**6, 0), (1, 10**6, 1), (999_999, 10**6, 99), (10**6, 10**6, 100), (0, 0, 100), (5, 10, 50)],
)
def test_nothing_is_all_before_the_last_nor_none_after_the_first(done: int, total: int, share: int) -> None:
    assert percent(done, total) == share


def test_a_line_of_a_log_says_how_far_it_is_and_of_a_tail_what_it_waits_for() -> None:
    assert line(NUMBERS) == (
        " 71 %  7,131 done (5,018 now)  3 failed  256/256 busy  212/s  end 14:12-14:15  (median 1.1 s of 900)"
    )
    assert line(TAIL) == "9,986/10,000 done  11 running, 245 slots idle  oldest 9 min nid0012 ./fit 8812"
    assert line(NUMBERS._replace(end=None, measured=0, per_s=0.0, now=7131)) == " 71 %  7,131 done  3 failed  256/256 busy"


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (End(30, 40, 35, False, 1), "end in 30-40 s"),
        (End(30, 30.2, 30, False, 1), "end in 30 s"),
        (End(30, 90, 35, True, 1), "end in ~35 s (rough)"),
        (End(600, 610, 605, False, 1), "end 14:10"),
        (End(86_000, 90_000, 88_000, False, 1), "end Tue 13:53-Tue 15:00"),
    ],
)
def test_an_end_is_said_as_surely_as_it_is_known(end: End, words: str) -> None:
    assert words in line(NUMBERS._replace(end=end))


def test_who_has_too_little_time_hears_what_would_have_been_enough() -> None:
    short = NUMBERS._replace(end=End(12_000, 14_000, 13_000, False, 1), job_end=AT + 7200, left_over=1199)
    assert too_long(short, AT - 3600, 4, True) == (
        "the job ends 16:00, the last task 17:20-17:53: ~1,200 left over for the next start;"
        " enough would have been: -N 8, or -t 05:24:00"
    )
    wide = short._replace(waiting=3, left_over=2)
    assert "-N" not in too_long(wide, AT - 3600, 4, True), "more nodes do not help a single long task"
    assert too_long(short, AT - 3600, 4, False).endswith("enough would have been: --walltime 05:24:00")
    assert too_long(short._replace(end=None), AT - 3600, 4, True) == ""
    assert os.environ["TZ"] == "UTC"
