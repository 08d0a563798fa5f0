"""What in a list cannot be meant: lines that would succeed and do nothing, or do it in the wrong order.

Why: `wait` before a line that merges, `for i in 1 2; do`, a backslash at the end, another farm's directive. Each line is a
task of its own, in a shell of its own, so these lines mean more than they do here, and end with exit code 0.

The rule: a line is refused only if it cannot have been meant as a task; --anyway runs it. What may have been meant, and
mostly was not, is remarked upon, in one sentence of a kind.

Two looks: `Watch` sees all of the list while it is scanned, and looks for single characters first; `look` reads lines as a
shell does, at the two ends of the list only: the head of what one generated, and the merge that stands behind it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from mpifarm.tasks import foreign, span
from mpifarm.tasks.bashisms import COMMANDS, VARIABLES, bashism
from mpifarm.tasks.grammar import Commands, parse
from mpifarm.tasks.quoting import BYTE_ORDER_MARK, Line, read

HEAD_BYTES = 256  # enough to tell the encoding of a list
LOOK_BYTES = 512 * 1024  # at each end of a list
SEARCHES = 20  # for the last line of a task that spans lines

STRAY_RETURN = "a carriage return within a line: old line ends, make new ones: tr '\\r' '\\n' < old.txt > new.txt"
_STRAY_RETURN = re.compile(rb"\r[^\r\n]")
_MARKED = re.compile(rb"^\xef\xbb\xbf", re.MULTILINE)
_TASK = re.compile(rb"^(?:\xef\xbb\xbf)?[ \t\r]*(?!\xef\xbb\xbf)[^ \t\r\n#]", re.MULTILINE)
_SHOWN = 60  # characters of a line in a message
SHAPES = 4096  # that are remembered
_LONG_BYTES = 16 * 1024  # such lines are not read: some patterns take a time that grows with the square

# A word that no judgement depends on: it has a digit or a slash, and is neither a variable, nor in braces, nor assigned to.
_ARGUMENT = re.compile(rb"(?<![\w./{$#!-])(?=[\w.-]*[/\d])[\w./-]+(?![\w./-]|\+?=)|(?<=\w)/[\w./-]*")
_DIGIT = re.compile(rb"\d")
_DIGITS_AS_0 = bytes.maketrans(b"123456789", b"0" * 9)


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the list, and what is said of it."""

    number: int
    said: str
    last: int = 0  # the last line, where it goes on so far


class Watch:
    """Looks at every line of a list, as far as single characters tell where to look closer."""

    def __init__(self, dash: bool) -> None:
        self.directive: Place | None = None  # the first one
        self.at_head: Place | None = None  # the first one that does no harm if tasks follow
        self.stray_return: Place | None = None
        self.byte_order_mark: int | None = None  # the first line with one
        self._dash = dash

    def see(self, lines: bytes, number: int, tasks: int) -> None:
        """Look at whole lines: the first is line *number* of the list, and *tasks* stand before it."""
        if b"#" in lines and not self.directive:
            self._see_directives(lines, number, tasks)
        if b"\r" in lines and not self.stray_return and (found := _STRAY_RETURN.search(lines)):
            self.stray_return = Place(number + lines.count(b"\n", 0, found.start()), STRAY_RETURN)
        if b"\xef" in lines and not self.byte_order_mark and (found := _MARKED.search(lines)):
            self.byte_order_mark = number + lines.count(b"\n", 0, found.start())

    def _see_directives(self, lines: bytes, number: int, tasks: int) -> None:
        for place, at_head in directives(lines, number, tasks, self._dash):
            if not at_head:
                self.directive = place
                return
            self.at_head = self.at_head or place


def directives(lines: bytes, number: int, tasks: int, dash: bool) -> Iterator[tuple[Place, bool]]:
    """Yield the directives of whole lines, as `Watch.see` has them, and whether it does no harm if tasks follow."""
    for at, directive in foreign.directives(lines, dash):
        place = Place(number + lines.count(b"\n", 0, at), f"{shown(directive)} {foreign.advice(directive)}")
        alone = lines.startswith(b"#", at) and foreign.is_for_slurm(directive)
        yield place, alone and not tasks and not _TASK.search(lines, 0, at)


class Kind(Enum):
    """What can be wrong with a line that was looked at."""

    NO_TASK = "no task"  # refused; --anyway runs it
    FOREIGN = "foreign"  # refused; --anyway and --ignore-directives run it
    ALONE = "alone"  # the rest is remarked upon
    BACKGROUND = "background"
    BASH = "bash"


REFUSED = (Kind.NO_TASK, Kind.FOREIGN)


@dataclass(slots=True)
class Found:
    """The first line of a kind, and how many there are."""

    at: int  # the byte of the list at which it begins
    said: str
    more: int = 0  # lines behind it that belong to it
    count: int = 0


def look(parts: Iterable[tuple[int, bytes]], dash: bool, known: Collection[str]) -> dict[Kind, Found]:
    """Return what is wrong with the lines of some *parts* of a list, (byte offset, whole lines).

    *dash*: what the shell is, else it is bash. *known*: the variables that are set in the environment of the tasks.
    """
    found: dict[Kind, Found] = {}
    clean: set[bytes] = set()  # shapes of lines: most lines of a list have one of a few
    searches = SEARCHES
    for start, part in parts:
        at, until = start, -1  # up to `until` the lines belong to a task before
        lines = part.split(b"\n")
        for place, line in enumerate(lines):
            text = line.removesuffix(b"\r").removeprefix(BYTE_ORDER_MARK)
            shape = shape_of(text)
            if shape not in clean:
                faults = judge(text, dash, known)
                for kind, said in faults:
                    if kind is Kind.NO_TASK and place <= until:
                        continue
                    if searches and goes_on(kind, said):
                        searches -= 1
                        until = span.last(lines, place, dash) or until
                    more = until - place if kind is Kind.NO_TASK else 0
                    found.setdefault(kind, Found(at, said, max(0, more))).count += 1
                if not faults and len(clean) < SHAPES and len(text) < _LONG_BYTES:
                    clean.add(shape)
            at += len(line) + 1
    return found


def goes_on(kind: Kind, said: str) -> bool:
    """Return whether a line of which that is *said* may go on in the next one."""
    return kind is Kind.NO_TASK and said.endswith(ADVICE_ONE_LINE)


def shape_of(text: bytes) -> bytes:
    """Return what lines have in common that are judged alike: *text* without the words that no judgement depends on."""
    return text if b"${" in text else shapes_of(text)


def shapes_of(lines: bytes) -> bytes:
    """Return the shapes of whole lines, none of which has a ${ in it."""
    return _ARGUMENT.sub(b"0", lines)


def outlines_of(lines: bytes) -> bytes:
    """Return whole lines with each digit as 0: thirty times as fast as their shapes, of which they have more."""
    return lines.translate(_DIGITS_AS_0)


def outline_tells(text: bytes) -> bool:
    """Return whether all lines that have the outline of *text* have its shape: each digit is in a word that that lacks."""
    return not _DIGIT.search(_ARGUMENT.sub(b"", text))


def judge(text: bytes, dash: bool, known: Collection[str]) -> tuple[tuple[Kind, str], ...]:
    """Return what is wrong with a line, without its end: at most one thing that it is refused for."""
    return () if len(text) >= _LONG_BYTES or is_tame(text) else tuple(_judge(text, dash, known))


def is_tame(text: bytes) -> bool:
    """Return whether nothing can be wrong with a line."""
    return bool(_TAME.fullmatch(text)) and not _SUSPECT.search(text) and _ODD.isdisjoint(_WORD_END.split(text))


def encoding(head: bytes) -> str | None:
    """Return the name of the encoding of a list that begins with *head*, if no shell can read it."""
    if b"\0" not in head:  # every blank and every line's end has one there
        return None
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "UTF-32"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16"
    pairs = head[: len(head) // 2 * 2]
    for nothing, name in ((pairs[1::2], "UTF-16LE"), (pairs[::2], "UTF-16BE")):
        if len(nothing) > 1 and not nothing.strip(b"\0") and pairs.count(b"\0") == len(nothing):
            return name
    return None


def shown(text: bytes, start: int = 0) -> str:
    """Return *text* as it may stand in a message: in quotes, printable, not too long; if it is, from *start* on."""
    words = printable(text)
    if len(words) <= _SHOWN:
        return f'"{words}"'
    start = max(0, min(start, len(words) - _SHOWN))
    rest = f"...{words[start + 3 :]}" if start else words
    return f'"{rest if len(rest) <= _SHOWN else rest[: _SHOWN - 3] + "..."}"'


def printable(text: bytes) -> str:
    """Return *text* without blanks at its ends, and with a question mark for what does not show."""
    return "".join(c if c.isprintable() else "?" for c in text.strip().decode(errors="replace"))


# A line

_OPEN = {
    **{"'": "a quote is open", '"': "a quote is open", "`": "a ` is open", "${": "a ${ is open"},
    **{"$(": "a $( is open", "(": "a ( is open", "((": "a (( is open"},
    **{"\\": "a backslash at the end", "<<": "a here-document"},
}
_STATE = frozenset(
    b"""cd pushd popd export unset readonly declare typeset local set shopt ulimit umask alias unalias trap hash
    source . module ml workon""".split()
)
_TOOLS = {b"conda": b"activate", b"mamba": b"activate", b"micromamba": b"activate", b"spack": b"load"}
_COMPANIONS = (b"exit", b":", b"true")
_KEYWORDS = b"if then elif else fi for while until do done case esac time".split()
_ASSIGNMENT = re.compile(rb"[A-Za-z_]\w*\+?=")
_SUBSTITUTION = re.compile(rb"\$\(|`|[<>]\(")
_NOWHERE = re.compile(rb"/dev/null|\d+|-")

# Nearly every line is tame: words, whole quotes, variables, and joints with a command behind; nothing open, no braces.
_TAME = re.compile(
    rb"[\w./+,:@%=~^*? \t-]*(?:(?:'[^']*'|\"[^\"\\`$]*(?:\$[A-Za-z]\w*(?!\w)[^\"\\`$]*)*\"|\$[A-Za-z]\w*(?!\w)|>&\d"
    rb"|(?:\|\|?|&&|;|>>?|<)[ \t]*(?=[\w./$'\"~-]))[\w./+,:@%=~^*? \t-]*)*"
)
_WORD_END = re.compile(rb"[ \t;&|<>]+")
_ODD = frozenset((*_STATE, *_TOOLS, *_KEYWORDS, *COMMANDS, b"wait"))
_SUSPECT = re.compile(rb"(?<![^ \t;&|])\w+\+?=|^[ \t]*[;&|]|==|\becho[ \t]+-|\$(?:%b|%b)" % (foreign.VARIABLES, VARIABLES))

ADVICE_ONE_LINE = "each line is a task of its own, in no order: write what belongs together into one line, or into a script"
_ADVICE_ORDER = (
    "the lines have no order, so there is nothing to wait for: what must come after it goes into a second list,"
    " python -m mpifarm first.txt && python -m mpifarm second.txt"
)
_ADVICE_STATE = (
    "each line has a shell of its own, so this does nothing for the others: put it before the farm, or into them, with &&"
)
_ADVICE_BACKGROUND = (
    "a task that goes into the background is done at once, and what runs on is killed when the farm ends: leave out the &"
)
_ADVICE_BASH = "--shell /bin/bash runs the list with bash"


def _judge(text: bytes, dash: bool, known: Collection[str]) -> Iterator[tuple[Kind, str]]:
    """Yield what is wrong with a line: one thing that it is refused for, or what there is to remark upon."""
    if not text.strip(b" \t\r") or text.lstrip(b" \t").startswith(b"#"):
        return
    line = read(text, dash)
    if not line.sure:
        return
    commands = parse(line)
    if why := _no_task(line, commands):
        yield Kind.NO_TASK, why
    elif why := foreign.variable(line, known) or foreign.replacement(line):
        yield Kind.FOREIGN, why
    else:
        yield from _remarks(line, commands, dash, known)


def _no_task(line: Line, commands: Commands) -> str | None:
    if line.open:
        return f"{_OPEN[line.open]} in {shown(line.text)}: {ADVICE_ONE_LINE}"
    if commands.unfinished:
        return f"{shown(line.text)} is a part of something (its {commands.unfinished.decode()}): {ADVICE_ONE_LINE}"
    waits = [command.words[:1] for command in commands.simple] == [[b"wait"]]
    if waits and not commands.compound:
        return f"{shown(line.text)} alone is no task: {_ADVICE_ORDER}"
    return None


def _remarks(line: Line, commands: Commands, dash: bool, known: Collection[str]) -> Iterator[tuple[Kind, str]]:
    if commands.last == b"&":
        yield Kind.BACKGROUND, f"{shown(line.text)}: {_ADVICE_BACKGROUND}"
    elif _is_state_alone(line, commands):
        yield Kind.ALONE, f"{shown(line.text)} alone: {_ADVICE_STATE}"
    if dash and (why := bashism(line, known)):
        yield Kind.BASH, f"{shown(line.text)}: the shell is dash here, and {why}: {_ADVICE_BASH}"


def _is_state_alone(line: Line, commands: Commands) -> bool:
    """Return whether all that the line does is to change its own shell."""
    if commands.compound or _SUBSTITUTION.search(line.text):
        return False
    words = [command.words for command in commands.simple if not (command.words and command.words[0] in _COMPANIONS)]
    quiet = all(_NOWHERE.fullmatch(target) for command in commands.simple for target in command.targets)
    return bool(words) and quiet and all(map(_is_state, words))


def _is_state(words: list[bytes]) -> bool:
    if not words:
        return False
    if words[0] in _STATE:
        return len(words) > 1 or words[0] in (b"cd", b"popd")  # alone, the others print
    tool = _TOOLS.get(words[0])
    return tool in words[1:2] if tool else all(map(_ASSIGNMENT.match, words))
