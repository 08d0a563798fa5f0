"""All that is wrong or odd in a list, line by line: what `--check` tells of it.

Why: a start looks at the two ends of a list and stops at the first thing. Here somebody asks before he waits for a job.

The rule: nothing is run and no file is touched. Each judgement is made elsewhere (`check`, `syntax`, `calls`, `repeats`,
`lint`); this reads the list once, in chunks, asks all of them, and gathers what they say by kind: the first few places, and
how many there are. What a start refuses is an error, all else a remark.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator
from itertools import compress, count, islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from mpifarm.settings import Each
from mpifarm.tasks import check, lint, span, tfin
from mpifarm.tasks.calls import Calls, first_word
from mpifarm.tasks.check import Place
from mpifarm.tasks.faults import SHOWN, Fault
from mpifarm.tasks.looks import Looks, Survey
from mpifarm.tasks.quoting import BYTE_ORDER_MARK
from mpifarm.tasks.repeats import Repeats, written
from mpifarm.tasks.syntax import Syntax
from mpifarm.tasks.tasklist import open_list

_BLANKS = b" \t\r"
_MOST_OUTLINES = 65_536  # that are remembered
_FOR = re.compile(rb"\bfor[ \t]+\w*[\d/]")  # a name that a shell may not take, and so are some of functions


def survey(tasklist: Path, before: Path, looks: Looks, progress: Callable[[float], object] = lambda _: None) -> Survey:
    """Look at all of a list; *before* is the .tfin file of an earlier run, if there is one.

    *progress* is told how much of it has been read, 0 to 1. Raises FarmError if there is no such list, and OSError.
    """
    found = Survey(refused=looks.refused())
    encoding = lint.encoding_of(tasklist, looks.each)
    if encoding:
        advice = f"iconv -f {encoding} -t UTF-8 LIST > new.txt makes a list of it"
        found.add(Fault.ENCODING, 1, f"text in {encoding}, which no shell reads: {advice}")
        return found
    with open_list(tasklist, looks.each) as source:
        size = 0 if looks.each else os.fstat(source.fileno()).st_size  # what is made of arguments has none before
        reading = _Reading(looks, found, tasklist, _ahead(source))
        chunks = tfin.formatted(source, reading.see)
        for of_them in _compared(chunks, before, found):
            found.tasks += of_them
            if size:
                progress(source.tell() / size)
    reading.end(tasklist)
    return found


def _ahead(source: BinaryIO) -> Callable[[], bytes]:
    """Return what returns the bytes that will be read next."""

    def ahead() -> bytes:
        at = source.tell()
        more = source.read(span.MOST_BYTES)
        source.seek(at)
        return more

    return ahead


def _compared(chunks: Iterator[tuple[bytes, int, int]], before: Path, found: Survey) -> Iterator[int]:
    """Yield the tasks of each chunk; note where they differ from the .tfin file *before*."""
    old: BinaryIO | None = before.open("rb") if before.is_file() else None
    at = 0
    for chunk, _, tasks in chunks:
        if old and found.differs_at is None:
            was = old.read(len(chunk))
            if was != chunk:
                found.differs_at = at + _equal(was, chunk)
            at += len(chunk)
        yield tasks
    if old:
        if found.differs_at is None and old.read(1):
            found.differs_at = at
        old.close()


def _equal(one: bytes, other: bytes) -> int:
    """Return how many bytes are equal before the first that differs."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


class _New(NamedTuple):
    """A line of a shape that was not seen before."""

    number: int
    text: bytes
    shape: bytes
    faults: tuple[Fault, ...]


class _Seen(NamedTuple):
    """Tasks, line by line."""

    numbers: list[int]
    texts: list[bytes]
    outlines: list[bytes]

    def only(self, places: list[int]) -> _Seen:
        """Return those at *places*."""
        numbers, texts, outlines = self
        return _Seen([numbers[at] for at in places], [texts[at] for at in places], [outlines[at] for at in places])


class _Reading:
    """The lines of a list, as they come by."""

    def __init__(self, looks: Looks, found: Survey, tasklist: Path, ahead: Callable[[], bytes]) -> None:
        self._looks, self._found, self._tasklist, self._ahead = looks, found, tasklist, ahead
        self._spans: list[tuple[int, int]] = []  # first and last lines of tasks that span lines: a few
        self._until = 0  # the last of them
        self._dash = looks.dash
        self._syntax = Syntax(looks.shell)
        self._calls = Calls(looks.path, looks.variables, by_the_shell=self._syntax.asks)
        self._repeats = Repeats(self._dash)
        self._settled: dict[bytes, tuple[Fault, ...]] = {}  # what lines of a shape have that are valid, if all is told
        self._known: dict[bytes, tuple[Fault, ...]] = {}  # the same, of lines of an outline
        self._faulty = False  # some of those have any
        self._at_head: Place | None = None

    def see(self, lines: bytes, number: int, tasks: int) -> None:
        """Look at whole lines: the first is line *number* of the list, and *tasks* stand before it."""
        if b"#" in lines:
            self._see_directives(lines, number, tasks)
        seen = self._seen(lines, number)
        known = list(map(self._known.get, seen.outlines)) if self._faulty else []
        new = [place for place, outline in enumerate(seen.outlines) if outline not in self._known]
        self._see_new(seen.only(new), lines, number)
        if self._until >= number:  # a task that spans lines begins here, or goes on
            tasks_alone = [place for place, at in enumerate(seen.numbers) if not self._is_part(at)]
            known = [known[place] for place in tasks_alone] if known else []
            seen = seen.only(tasks_alone)
        for faults in filter(None, known):
            self._count(faults)
        self._repeats.see(seen.numbers, seen.texts, seen.outlines)
        self._see_calls(seen.numbers, seen.texts)

    def _seen(self, lines: bytes, number: int) -> _Seen:
        """Return the tasks among *lines*."""
        numbers, texts = self._texts(lines, number)
        return _Seen(numbers, texts, check.outlines_of(b"\n".join(texts)).split(b"\n") if texts else [])

    def _is_part(self, at: int) -> bool:
        """Whether line *at* is no task, but a part of one that begins before it."""
        return not self._looks.anyway and any(first < at <= last for first, last in self._spans)

    def _see_new(self, seen: _Seen, lines: bytes, number: int) -> None:
        """Look at those of *lines*, which begin with line *number*, of which the outline does not tell what is wrong."""
        news: list[_New] = []
        shapes = check.shapes_of(b"\n".join(seen.texts)).split(b"\n") if seen.texts else []
        for at, text, outline, alike in zip(*seen, shapes, strict=True):
            if at <= self._until and self._is_part(at):
                continue
            alone = b"${" in text or (b"for" in text and _FOR.search(text)) or b"()" in text
            shape = text if alone else alike
            faults = self._settled.get(shape)
            if faults is None:
                news.append(_New(at, text, shape, self._judge(at, text, lines, number)))
                continue
            self._count(faults)
            if not alone and len(self._known) < _MOST_OUTLINES and outline not in self._known and check.outline_tells(text):
                self._known[outline] = faults
                self._faulty |= bool(faults)
        self._ask(news)

    def _count(self, faults: tuple[Fault, ...]) -> None:
        for fault in faults:
            self._found.tallies[fault].count += 1

    def _ask(self, news: list[_New]) -> None:
        """Ask the shell about lines of a new shape; what it finds nothing wrong with is settled."""
        odd = [new for new in news if Fault.NO_TASK not in new.faults and not check.is_tame(new.text)]
        wrong = dict(self._syntax.wrong([(new.number, new.text) for new in odd]))
        for at, said in wrong.items():
            self._found.add(Fault.SYNTAX, at, said)
        for new in news:
            told = all(len(self._found.tallies[fault].places) == SHOWN for fault in new.faults)
            if told and new.number not in wrong and not self._syntax.enough and len(self._settled) < check.SHAPES:
                self._settled[new.shape] = new.faults

    def end(self, tasklist: Path) -> None:
        """The list has been read: tell what is to be told of all of it."""
        found = self._found
        if self._at_head and not found.tasks:
            found.add(Fault.DIRECTIVE, self._at_head.number, self._at_head.said)
        if self._syntax.enough and Fault.SYNTAX in found.tallies:
            found.tallies[Fault.SYNTAX].exact = False
        if not self._syntax.asks:
            found.not_looked_at.append(f"syntax, since {self._looks.shell} is not known to read without running (-n)")
        if not self._repeats.complete:
            found.not_looked_at.append("lines that are equal or write into one file, in the last part of the list")
        equal, one_file = self._repeats.equal(SHOWN), self._repeats.one_file(SHOWN)
        lines = _lines(
            tasklist, self._looks.each, {number for _, pairs in (equal, one_file) for pair in pairs for number in pair}
        )
        for at, first in equal[1]:
            found.add(Fault.EQUAL, at, f"{check.shown(lines[at])} is the same as line {first}")
        for at, first in one_file[1]:
            files = sorted(written(lines[at], self._dash) & written(lines[first], self._dash))
            what = check.shown(files[0]) if files else "a file"
            found.add(Fault.ONE_FILE, at, f"writes into {what}, as line {first} does")
        for fault, (lines_like_that, _) in ((Fault.EQUAL, equal), (Fault.ONE_FILE, one_file)):
            if lines_like_that:
                found.tallies[fault].count = lines_like_that

    def _texts(self, lines: bytes, number: int) -> tuple[list[int], list[bytes]]:
        """Return the tasks among *lines*: their numbers and commands."""
        texts = lines.split(b"\n")
        if b"\r" in lines or BYTE_ORDER_MARK in lines or b"\0" in lines:
            texts = [self._cleaned(at, line) for at, line in enumerate(texts, start=number)]
        are_tasks = [text[:1] > b"#" or text.lstrip(_BLANKS)[:1] not in (b"", b"#") for text in texts]
        return list(compress(count(number), are_tasks)), list(compress(texts, are_tasks))

    def _cleaned(self, at: int, line: bytes) -> bytes:
        """Return what of a *line* is command, and note what else is in it."""
        if line.startswith(b"#"):
            return b""
        text = line.removesuffix(b"\r").removeprefix(BYTE_ORDER_MARK)
        if b"\0" in line:
            self._found.add(Fault.NUL, at, "a NUL byte: no command can hold one, take it out")
            return b""
        if line.startswith(BYTE_ORDER_MARK):
            self._found.add(Fault.MARK, at, "a byte-order mark: it is left out of the command")
        if line.endswith(b"\r"):
            self._found.add(Fault.LINE_END, at, "ends in a carriage return: it is left out of the command")
        if b"\r" in text:
            self._found.add(Fault.RETURN, at, check.STRAY_RETURN)
            return b""
        return text

    def _see_directives(self, lines: bytes, number: int, tasks: int) -> None:
        for place, at_head in check.directives(lines, number, tasks, self._dash):
            if at_head:
                self._at_head = self._at_head or place
            else:
                self._found.add(Fault.DIRECTIVE, place.number, place.said)

    def _judge(self, at: int, text: bytes, lines: bytes, number: int) -> tuple[Fault, ...]:
        """Note what is wrong with a line, and return it; it is one of *lines*, which begin with line *number*."""
        told: list[tuple[Fault, str, int]] = []
        for kind, said in check.judge(text, self._dash, self._looks.variables):
            last = self._last(at, lines, number) if check.goes_on(kind, said) and not self._looks.each else 0
            told.append((Fault[kind.name], self._whole(said, at, last) if last else said, last))
        if step := lint.step_of(text, self._dash):
            told.append((Fault.STEP, step, 0))
        for fault, said, last in told:
            self._found.add(fault, at, said, last)
        return tuple(fault for fault, _, _ in told)

    def _last(self, at: int, lines: bytes, number: int) -> int:
        """Return the last line of a task that begins with line *at*; 0: it is not known. The first few are looked for."""
        tally = self._found.tallies.get(Fault.NO_TASK)
        if tally and len(tally.places) == SHOWN:
            return 0
        behind = (lines if lines.endswith(b"\n") else lines + b"\n") + self._ahead()
        last = span.last(behind.removesuffix(b"\n").split(b"\n"), at - number, self._dash)
        if last is None:
            return 0
        self._until = number + last
        self._spans.append((at, self._until))
        return self._until

    def _whole(self, said: str, at: int, last: int) -> str:
        return lint.into_script(said, self._tasklist, at, last, self._looks.shell)

    def _see_calls(self, numbers: list[int], texts: list[bytes]) -> None:
        begins = [text.partition(b" ")[0] for text in texts]
        if self._calls.seen.issuperset(begins):
            return
        for at, text, begin in zip(numbers, texts, begins, strict=True):
            if begin not in self._calls.seen and (word := first_word(text)) and (why := self._calls.missing(word)):
                self._found.add(Fault.PROGRAM, at, f"{check.shown(word)} {why}")


def _lines(tasklist: Path, each: Each | None, numbers: Collection[int]) -> dict[int, bytes]:
    """Return the commands of these lines of the list."""
    last = max(numbers, default=0)
    with open_list(tasklist, each) as source:
        found = {at: line for at, line in enumerate(islice(source, last), start=1) if at in numbers}
    return {at: found.get(at, b"").removesuffix(b"\n").removesuffix(b"\r").removeprefix(BYTE_ORDER_MARK) for at in numbers}
