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
from dataclasses import dataclass, field
from itertools import compress, count, islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from mpifarm.tasks import check, lint, tfin
from mpifarm.tasks.calls import Calls, first_word
from mpifarm.tasks.check import Place
from mpifarm.tasks.faults import SHOWN, Fault, Tally
from mpifarm.tasks.quoting import BYTE_ORDER_MARK
from mpifarm.tasks.repeats import Repeats, written
from mpifarm.tasks.syntax import Syntax
from mpifarm.tasks.tasklist import open_list

_BLANKS = b" \t\r"
_MOST_OUTLINES = 65_536  # that are remembered
_FOR = re.compile(rb"\bfor[ \t]+\w*[\d/]")  # a name that a shell may not take, and so are some of functions


@dataclass(slots=True)
class Survey:
    """What was found in a list."""

    tasks: int = 0
    tallies: dict[Fault, Tally] = field(default_factory=dict)
    refused: frozenset[Fault] = frozenset()  # these are errors
    differs_at: int | None = None  # first byte in which the .tfin file of an earlier run differs; None: nowhere, or no file
    not_looked_at: list[str] = field(default_factory=list)

    def add(self, fault: Fault, number: int, said: str) -> None:
        """Note a fault in line *number*."""
        tally = self.tallies.setdefault(fault, Tally())
        tally.count += 1
        if len(tally.places) < SHOWN:
            tally.places.append(Place(number, said))

    def errors(self) -> int:
        """Return how many faults a start would be refused for."""
        return sum(tally.count for fault, tally in self.tallies.items() if fault in self.refused)

    def remarks(self) -> int:
        """Return how many there are of all others."""
        return sum(tally.count for fault, tally in self.tallies.items() if fault not in self.refused)


@dataclass(frozen=True, slots=True)
class Looks:
    """What to look for, and how."""

    shell: str
    path: str  # the tasks' PATH
    variables: Collection[str]  # that are set for them
    anyway: bool = False
    ignore_directives: bool = False

    @property
    def dash(self) -> bool:
        """Whether the shell is dash; what else it may be reads a line much as bash does."""
        return lint.is_dash(self.shell)

    def refused(self) -> frozenset[Fault]:
        """Return what a start is refused for, with these options."""
        refused = {Fault.ENCODING, Fault.NUL}
        if not self.anyway:
            refused |= {Fault.RETURN, Fault.NO_TASK}
        if not self.ignore_directives:
            refused |= {Fault.DIRECTIVE} if self.anyway else {Fault.DIRECTIVE, Fault.FOREIGN}
        return frozenset(refused)


def survey(tasklist: Path, before: Path, looks: Looks, progress: Callable[[float], object] = lambda _: None) -> Survey:
    """Look at all of a list; *before* is the .tfin file of an earlier run, if there is one.

    *progress* is told how much of it has been read, 0 to 1. Raises FarmError if there is no such list, and OSError.
    """
    found = Survey(refused=looks.refused())
    with open_list(tasklist) as source:
        size = max(1, os.fstat(source.fileno()).st_size)
        encoding = check.encoding(source.read(check.HEAD_BYTES))
        if encoding:
            advice = f"iconv -f {encoding} -t UTF-8 LIST > new.txt makes a list of it"
            found.add(Fault.ENCODING, 1, f"text in {encoding}, which no shell reads: {advice}")
            return found
        source.seek(0)
        reading = _Reading(looks, found)
        chunks = tfin.formatted(source, reading.see)
        for of_them in _compared(chunks, before, found):
            found.tasks += of_them
            progress(source.tell() / size)
    reading.end(tasklist)
    return found


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


class _Reading:
    """The lines of a list, as they come by."""

    def __init__(self, looks: Looks, found: Survey) -> None:
        self._looks, self._found = looks, found
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
        numbers, texts = self._texts(lines, number)
        outlines = check.outlines_of(b"\n".join(texts)).split(b"\n") if texts else []
        self._repeats.see(numbers, texts, outlines)
        self._see_calls(numbers, texts)
        new = [place for place, outline in enumerate(outlines) if outline not in self._known]
        if self._faulty and len(new) < len(outlines):
            for faults in filter(None, map(self._known.get, outlines)):
                self._count(faults)
        self._see_new(
            [numbers[place] for place in new], [texts[place] for place in new], [outlines[place] for place in new]
        )

    def _see_new(self, numbers: list[int], texts: list[bytes], outlines: list[bytes]) -> None:
        """Look at lines of which the outline does not tell what is wrong with them."""
        news: list[_New] = []
        shapes = check.shapes_of(b"\n".join(texts)).split(b"\n") if texts else []
        for at, text, outline, alike in zip(numbers, texts, outlines, shapes, strict=True):
            alone = b"${" in text or (b"for" in text and _FOR.search(text)) or b"()" in text
            shape = text if alone else alike
            faults = self._settled.get(shape)
            if faults is None:
                news.append(_New(at, text, shape, self._judge(at, text)))
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
        lines = _lines(tasklist, {number for _, pairs in (equal, one_file) for pair in pairs for number in pair})
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

    def _judge(self, at: int, text: bytes) -> tuple[Fault, ...]:
        """Note what is wrong with a line, and return it."""
        told = [(Fault[kind.name], said) for kind, said in check.judge(text, self._dash, self._looks.variables)]
        if step := lint.step_of(text, self._dash):
            told.append((Fault.STEP, step))
        for fault, said in told:
            self._found.add(fault, at, said)
        return tuple(fault for fault, _ in told)

    def _see_calls(self, numbers: list[int], texts: list[bytes]) -> None:
        begins = [text.partition(b" ")[0] for text in texts]
        if self._calls.seen.issuperset(begins):
            return
        for at, text, begin in zip(numbers, texts, begins, strict=True):
            if begin not in self._calls.seen and (word := first_word(text)) and (why := self._calls.missing(word)):
                self._found.add(Fault.PROGRAM, at, f"{check.shown(word)} {why}")


def _lines(tasklist: Path, numbers: Collection[int]) -> dict[int, bytes]:
    """Return the commands of these lines of the list."""
    last = max(numbers, default=0)
    with open_list(tasklist) as source:
        found = {at: line for at, line in enumerate(islice(source, last), start=1) if at in numbers}
    return {at: found.get(at, b"").removesuffix(b"\n").removesuffix(b"\r").removeprefix(BYTE_ORDER_MARK) for at in numbers}
