"""The report as one page of HTML: findings and figures into `report.html`, with Jinja2.

The rule: the page asks nobody for anything. It has no script, no font and no picture of another host, it is read in any
browser, and the only text in it that is not escaped is the SVG that `figures` has drawn, in which letters are escaped, too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from mpifarm import __version__, texts
from mpifarm.view import figures, slottime, units
from mpifarm.view.findings import Findings
from mpifarm.view.series import Busy, Histogram

_TEMPLATE = Path(__file__).with_name("report.html")
_MOST_ROWS = 24


def html(findings: Findings) -> bytes:
    """Return the page."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    drawn = {name: tuple(map(Markup, pair)) for name, pair in figures.page(findings).items()}
    text = template.render(
        found=findings,
        figures=drawn,
        over_time=list(_over_time(findings.busy)) if findings.busy else [],
        bins=_bins,
        idle=slottime.IDLE,
        shown=texts.shown,
        number=units.number,
        counted=units.counted,
        time=units.time,
        memory=units.memory,
        time_edge=units.time_edge,
        memory_edge=units.memory_edge,
        elapsed=units.elapsed,
        percent=units.percent,
        hours=units.hours,
        version=__version__,
        now=time.strftime("%Y-%m-%d %H:%M:%S"),
    )
    return text.encode(errors="backslashreplace")


def _over_time(busy: Busy) -> Iterator[tuple[float, float, float]]:
    """Yield time, slots busy and slots there, each the mean of some bins."""
    step = -(-busy.busy.size // _MOST_ROWS)
    for at in range(0, busy.busy.size, step):
        here = slice(at, at + step)
        yield float(busy.edges[at]), float(busy.busy[here].mean()), float(busy.slots[here].mean())


def _bins(histogram: Histogram) -> Iterator[tuple[float, float, int, int]]:
    """Yield the edges and counts of the bars that have any."""
    edges = histogram.edges.tolist()
    for low, high, good, bad in zip(
        edges, edges[1:], histogram.succeeded.tolist(), histogram.failed.tolist(), strict=False
    ):
        if good or bad:
            yield low, high, good, bad
