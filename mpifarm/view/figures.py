"""The figures of a report: numbers onto axes, with matplotlib.

The rule: a figure says the same in grey as in colour: what differs differs in lightness, too, and has its word beside it.
For a page each figure is drawn as SVG in the colours of INKS, which nobody would choose: the page puts its own in their
place, those of a dark or a light theme. It is drawn twice, wide and narrow, since an SVG that is scaled down to a phone has
letters that nobody can read.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, MultipleLocator, NullLocator

from mpifarm.view import slottime, units
from mpifarm.view.findings import Findings, Spread
from mpifarm.view.series import Floats

_SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mpifarm",
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # a node or a list may be called $x^
}
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
_WIDE, _NARROW = (8.6, 9.0), (3.6, 8.0)  # inches, points of letters
_UNITS = ((1, "s"), (60, "min"), (3600, "h"), (86400, "d"))
_CLOCK = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 180, 600, 1800, 3600, 3 * 3600, 12 * 3600, 86400, 3 * 86400)
_POWERS = tuple(2.0**power for power in range(40))  # KiB
_THERE = "a slot has"
_LEGENDS = {
    "Slots over time": ", of those that were there",
    "Nodes over time": ": tasks that succeed, a slot and hour; the more, the stronger",
    "Run times": "; failed attempts on top, darker",
    "Peak memory": "; failed attempts on top, darker",
}
_LABEL = 0.035  # of the axis, what the number of a mark needs
_MOST_TOLD = 5  # marks on a sheet
_MOST_LABELS = 24  # rows of the heat map


@dataclass(frozen=True, slots=True)
class _Quantity:
    """What attempts are compared by: how its values are said, and the edges of bins; places for ticks."""

    most: str  # what the largest is called
    say: Callable[[float], str]
    say_edge: Callable[[float], str]
    ticks: Sequence[float]


_TIME = _Quantity("longest", units.time, units.time_edge, _CLOCK)
_MEMORY = _Quantity("most", units.memory, units.memory_edge, _POWERS)


@dataclass(frozen=True, slots=True)
class Inks:
    """The colours of a figure."""

    ink: str  # letters and axes
    line: str  # what was there to be used
    good: str
    bad: str
    mark: str


PAGE = Inks("#010101", "#020202", "#030303", "#040404", "#050505")  # to be replaced
PAPER = Inks("#1a1a1a", "#7a7a7a", "#4a7fb5", "#8c2d04", "#8c2d04")
WORDS = {PAGE.ink: "ink", PAGE.line: "line", PAGE.good: "good", PAGE.bad: "bad", PAGE.mark: "mark"}

Draw = Callable[[Axes, Findings, Inks], None]


def page(findings: Findings) -> dict[str, tuple[str, str]]:
    """Return the figures of a page as SVG, by name: wide and narrow."""
    return {
        name: (_svg(findings, draw, high, _WIDE), _svg(findings, draw, high, _NARROW))
        for name, draw, high in _all(findings)
    }


def sheet(findings: Findings, suffix: str) -> bytes:
    """Return the main figures on one page, as a file of this kind: .png, .svg or .pdf."""
    figures = list(_all(findings, sheet=True))
    with rc_context({**_SETTINGS, "font.size": 9.0}):
        figure = Figure(figsize=(8.3, 1.2 + sum(high + 0.75 for _, _, high in figures)), layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(f"{findings.name}: {findings.verdict}\n{findings.covers}", fontsize=10, wrap=True)
        ratios = [high for _, _, high in figures]
        grid = figure.subplots(len(figures), 1, squeeze=False, height_ratios=ratios) if figures else np.empty((0, 1))
        for one, (name, draw, _) in zip(grid[:, 0], figures, strict=True):
            one.set_title(name + _LEGENDS.get(name, ""), fontsize=10, loc="left")
            draw(one, findings, PAPER)
        if findings.marks:
            told = ", ".join(f"{number} {mark.what}" for number, mark in enumerate(findings.marks[:_MOST_TOLD], start=1))
            grid[0, 0].set_title(told, fontsize=8, loc="right", color=PAPER.mark)
        content = io.BytesIO()
        metadata = _NO_METADATA if suffix == ".svg" else {"CreationDate": None} if suffix == ".pdf" else None
        figure.savefig(content, format=suffix[1:], dpi=120, metadata=metadata)
    return content.getvalue()


def _all(findings: Findings, sheet: bool = False) -> Iterator[tuple[str, Draw, float]]:
    """Yield the figures that there is something for: name, how to draw it, and its height in inches."""
    if findings.busy is None or findings.pace is None:
        return
    yield "Slots over time", _busy, 2.4
    if sheet:
        yield "Where the time of the slots went", _slot_time, 1.9
    yield "Nodes over time", _pace, max(1.0, min(4.5, 0.55 + 0.16 * len(findings.pace.names)))
    if findings.times:
        yield "Run times", _times, 2.0
    if findings.memory:
        yield "Peak memory", _memory, 2.0


def _svg(findings: Findings, draw: Draw, high: float, size: tuple[float, float]) -> str:
    wide, letters = size
    with rc_context({**_SETTINGS, "font.size": letters}):
        figure = Figure(figsize=(wide, high), layout="constrained")
        axes = figure.subplots()
        draw(axes, findings, PAGE)
        figure.patch.set_visible(False)
        axes.patch.set_visible(False)
        for spine in axes.spines.values():
            spine.set_color(PAGE.line)
        axes.tick_params(which="both", color=PAGE.line, labelcolor=PAGE.ink)
        axes.xaxis.label.set_color(PAGE.ink)
        axes.yaxis.label.set_color(PAGE.ink)
        content = io.StringIO()
        figure.savefig(content, format="svg", metadata=_NO_METADATA)
    return _themed(content.getvalue())


def _themed(svg: str) -> str:
    """Return an SVG for the inside of a page: in its colours and its letters, as wide as there is room."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r" xmlns(?::xlink)?=\"[^\"]*\"", "", svg)
    svg = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", svg)
    for colour, word in WORDS.items():
        svg = svg.replace(colour, f"var(--{word})")
    return re.sub(r"\n\s*", "\n", svg)


def _busy(axes: Axes, findings: Findings, inks: Inks) -> None:
    """Draw how many slots were busy, of those that were there; what befell the farm stands as numbered marks above."""
    busy = findings.busy
    assert busy is not None
    axes.stairs(busy.busy, busy.edges, fill=True, color=inks.good, linewidth=0)
    axes.stairs(busy.slots, busy.edges, color=inks.line, linewidth=1.2, baseline=None)
    top = max(float(busy.slots.max()), 1.0)
    for mark in findings.marks:
        axes.vlines(mark.worked_s, 0, 1.04 * top, color=inks.mark, linewidth=0.8, linestyle=(0, (3, 2)))
    for at_s, numbers in _labels([mark.worked_s for mark in findings.marks], _LABEL * float(busy.edges[-1])):
        axes.annotate(numbers, (at_s, 1.05 * top), color=inks.mark, ha="center", va="bottom", annotation_clip=False)
    axes.set(xlim=(0, busy.edges[-1]), ylim=(0, 1.16 * top))
    axes.set_ylabel("slots busy")
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
    _time_axis(axes, float(busy.edges[-1]))


def _labels(moments: Sequence[float], apart: float) -> Iterator[tuple[float, str]]:
    """Yield where the numbers of marks stand: those of marks that are no further *apart* together, 4-5, in their middle."""
    begin = 0
    for place, moment in enumerate(moments):
        if place + 1 == len(moments) or moments[place + 1] - moment > apart:
            first, last = begin + 1, place + 1
            yield (moments[begin] + moment) / 2, f"{first}-{last}" if last > first else str(first)
            begin = place + 1


def _slot_time(axes: Axes, findings: Findings, inks: Inks) -> None:
    """Draw where the time of the slots went, a bar for each part that took any."""
    parts = [(name, findings.slots.share(name)) for name, seconds in findings.slots.parts.items() if seconds]
    for place, (name, share) in enumerate(parts):
        axes.barh(
            place, share, color=inks.line if name in slottime.IDLE else inks.good if name == slottime.DONE else inks.bad
        )
        axes.annotate(f" {units.percent(share)}", (share, place), va="center", color=inks.ink)
    axes.set_yticks(range(len(parts)), [name for name, _ in parts])
    axes.set(xlim=(0, 1.1), ylim=(len(parts) - 0.5, -0.5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.0f} %"))


def _pace(axes: Axes, findings: Findings, inks: Inks) -> None:
    """Draw how fast each node got on: the more tasks a slot and hour, the darker."""
    pace = findings.pace
    assert pace is not None
    known = np.nan_to_num(pace.pace)
    usual = float(np.quantile(known[known > 0], 0.95)) if (known > 0).any() else 1.0
    shade = np.clip(known / usual, 0, 1)
    shade[~np.isnan(pace.pace) & (known == 0)] = 0.04
    rows = np.arange(len(pace.names) + 1)
    mesh = axes.pcolormesh(pace.edges, rows, shade, linewidth=0)
    mesh.set_array(None)
    mesh.set_facecolor([(inks.good, float(strength)) for strength in shade.ravel()])
    step = -(-len(pace.names) // _MOST_LABELS)
    axes.set_yticks(rows[:-1:step] + 0.5, [_short(name) for name in pace.names[::step]])
    axes.set(xlim=(0, pace.edges[-1]), ylim=(rows[-1], 0))
    axes.tick_params(axis="y", length=0)
    _time_axis(axes, float(pace.edges[-1]))


def _short(name: str) -> str:
    kept = name if len(name) <= 24 else f"{name[:12]}…{name[-11:]}"
    return "".join(letter if letter.isprintable() else "?" for letter in kept)


def _times(axes: Axes, findings: Findings, inks: Inks) -> None:
    """Draw how long the attempts took."""
    assert findings.times is not None
    _spread(axes, findings.times, inks, _TIME)


def _memory(axes: Axes, findings: Findings, inks: Inks) -> None:
    """Draw how much memory the attempts needed, and how much there is for a slot."""
    assert findings.memory is not None
    there = findings.share.slot_kib if findings.share else None
    _spread(axes, findings.memory, inks, _MEMORY, there)


def _spread(
    axes: Axes,
    spread: Spread,
    inks: Inks,
    quantity: _Quantity,
    there: float | None = None,
) -> None:
    """Draw how many attempts had which value, those that failed on top; *there*: how much a slot has."""
    histogram = spread.histogram
    together = histogram.succeeded + histogram.failed
    axes.stairs(together, histogram.edges, fill=True, color=inks.bad, linewidth=0, label="failed")
    axes.stairs(histogram.succeeded, histogram.edges, fill=True, color=inks.good, linewidth=0, label="succeeded")
    axes.set_xscale("log")
    top = max(float(together.max()), 1.0)
    named = [("median", spread.median), ("95 %", spread.usual), (quantity.most, spread.most)]
    edges = histogram.edges[[0, -1]]
    if there is not None:
        named.append((_THERE, there))
        edges = np.array((min(edges[0], there / 1.1), max(edges[1], there * 1.1)))
    lowest, highest = np.log(edges)
    known = [(name, value) for name, value in named if value > 0]
    to_left = [np.log(value) - lowest > 0.75 * (highest - lowest) for _, value in known]
    # Words to the right of their line stand below those of the lines to the left of it, and the other way round: so no line
    # goes through the words of another.
    places = sorted(range(len(known)), key=lambda place: known[place][1])
    order = [place for place in places if not to_left[place]] + [place for place in reversed(places) if to_left[place]]
    above = 0.95 + 0.11 * len(known)
    for level, place in enumerate(order):
        (name, value), height = known[place], (above - 0.11 * level) * top
        is_there = name == _THERE
        axes.vlines(value, 0, height, color=inks.ink if is_there else inks.line, linewidth=1.6 if is_there else 1.0)
        side = "right" if to_left[place] else "left"
        axes.annotate(f" {name} {quantity.say(value)} ", (value, height), color=inks.ink, ha=side, va="center")
    axes.set(xlim=edges, ylim=(0, (above + 0.1) * top))
    axes.set_ylabel("attempts")
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_locator(FixedLocator(_ticks(edges, quantity.ticks)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: quantity.say_edge(value)))
    axes.xaxis.set_minor_locator(NullLocator())


def _ticks(edges: Floats, places: Sequence[float]) -> list[float]:
    """Return at most seven of *places* on an axis of logarithms, evenly."""
    inside = [place for place in places if edges[0] <= place <= edges[-1]]
    return inside[:: -(-len(inside) // 7)] if len(inside) > 1 else [float(edges[0]), float(edges[-1])]


def _time_axis(axes: Axes, span_s: float) -> None:
    unit, name = next(pair for pair in _UNITS if span_s < 120 * pair[0] or pair is _UNITS[-1])
    steps = (factor * 10.0**power for power in range(-3, 7) for factor in (1, 2, 3, 5))
    step = next(step for step in steps if span_s / unit / step <= 7) * unit
    axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{at / unit:g}"))
    axes.set_xlabel(f"{name} since the first start, pauses left out")
