"""The page in a browser: it fits a phone and a screen, asks nobody for anything, and has nothing to complain of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser

from mpifarm.view import report

from .runs import Ran, Run

pytestmark = pytest.mark.long

LONG = "x" * 700


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as started:
        yield started


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the report of a run with all that is long, and all that is evil."""
    monkeypatch.chdir(tmp_path)
    run = Run([f"./fit {number} {LONG}" for number in range(40)] + ["<script>console.error(1)</script>"])
    for number in range(40):
        node = f"node-with-a-long-name-{number % 5}.of.a.cluster.example"
        ran = Ran(number, number * 7.0, 1 + number, node=node, slot=1 + number % 3, rss_kib=1000 * number + 1)
        run.add(ran.failed("exit code 1", f"{LONG} <img src=http://evil.example/x.png>") if number % 7 == 3 else ran)
    run.add(
        Ran(40, 900, 2, node="n<script>console.error(2)</script>").failed("timed out", "<script>console.error(3)</script>")
    )
    report.write("r.html", "tasks.txt")
    return Path("r.html")


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("dark", [False, True])
def test_a_page_fits_and_is_content_with_itself(browser: Browser, page: Path, width: int, dark: bool) -> None:
    browser.open(page, width, dark)
    assert browser.too_wide() == (width, width, [])
    assert browser.complaints == []
    assert browser.requests == [page.resolve().as_uri()]
    paper = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(20, 23, 26)" if dark else "rgb(255, 255, 255)")
    shown = browser.evaluate("[...document.querySelectorAll('figure svg')].filter(e => e.getClientRects().length).length")
    assert shown == 4, "each figure once: the wide ones or the narrow ones"


def test_printed_nothing_stays_folded_or_dark(browser: Browser, page: Path) -> None:
    browser.open(page, 800)
    browser.on_paper(dark=True)
    browser.evaluate("document.querySelectorAll('details').forEach(e => e.open = false)")
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    heights = browser.evaluate("[...document.querySelectorAll('details table')].map(e => e.getBoundingClientRect().height)")
    assert len(heights) == 4
    assert min(heights) > 50
    adjusted = "[...document.querySelectorAll('.bar i, .key')].map(e => getComputedStyle(e).printColorAdjust)"
    assert set(browser.evaluate(adjusted)) == {"exact"}, "or a browser leaves the bars out"


def test_what_the_test_looks_for_is_seen(browser: Browser, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<body><p style='width: 600px'>wide</p><img src='missing.png'><script>console.error('so')</script></body>"
    )
    browser.open(bad, 400)
    assert browser.too_wide()[2] == ["P wide"]
    assert browser.complaints
    assert browser.requests == [bad.as_uri(), (tmp_path / "missing.png").as_uri()]
