"""The lines of a task that spans lines: which one is its last.

Why: a quote, a here-document, a loop that goes on in the next line was meant as one command, and here each line is a task.
Who wrote it is told from where to where it goes, and can take these lines into a script.

The rule: as in `quoting` and `grammar`, what is not sure is not claimed. Lines are joined into one that means the same, as
the shell joins them, until nothing is left open; the reading is bounded, and an end that is not found is none. Where lines
are joined, a newline is a `;` between commands, a blank behind what wants more, nothing behind a backslash, and stays what
it is in quotes. The body of a here-document is left out, and its `<<WORD` becomes `< WORD`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from mpifarm.tasks.grammar import BEGINNINGS, JOINTS, Commands, parse
from mpifarm.tasks.quoting import Line, Part, read

MOST_LINES = 500  # behind the first
MOST_BYTES = 64 * 1024
MOST_READINGS = 100  # of all lines so far, each time that one has been added

_CODE = ("$(", "(", "((")  # in these a newline is one between commands
_BACKSLASHES = re.compile(rb"\\*$")
_DOCUMENT = re.compile(rb"(?<!<)<<(?!<)(-?)")
_WORD = re.compile(rb"[ \t]*(?:'([^']*)'|\"([^\"\\$`]*)\"|\\?([\w.!%+:@^~-]+))(?=[ \t;&|()<>]|$)")

_OTHERWISE = (("a quote is open", "; or put a backslash before the quote, if it stands for itself"),)


def last(lines: Sequence[bytes], first: int, dash: bool) -> int | None:
    """Return which of *lines* is the last one of a command that line *first* of them begins and leaves open.

    The lines have no ends. None: it is not found in them, or nobody is sure.
    """
    text, at, size = lines[first].removesuffix(b"\r"), first, 0
    for _ in range(MOST_READINGS):
        line, commands = _read(text, dash)
        if not line.sure or (not line.open and not commands.sure):
            return None
        text = line.text
        if line.open == "<<" and not _continues(text):
            found = _past_document(text, line, lines, at, first + MOST_LINES)
            if not found:
                return None
            text, at = found
            continue
        if not line.open and not commands.unfinished:
            return at if at > first else None
        if not line.open and not _wants_more(commands):
            return None
        closing = line.open.encode() if line.open in ("'", '"') else b""
        joint = _joint(line, commands)
        while True:  # up to a line that may close it
            at += 1
            if at >= len(lines) or at - first > MOST_LINES or size > MOST_BYTES:
                return None
            more = lines[at].removesuffix(b"\r")
            size += len(more)
            text = text[:-1] + more if joint is None else text + joint + more
            if not closing or closing in more or _continues(text):
                break
            joint = b"\n"
    return None


def advice(why: str, tasklist: str, first: int, last: int, shell: str) -> str:
    """Return how to put the task that goes from line *first* to *last*, and cannot be one for that *why*, into a script.

    *shell*: the word that runs a script, in a line of the list.
    """
    name = tasklist.rpartition("/")[2]
    script = shlex.quote(f"./{name.rpartition('.')[0] or name}.{first}-{last}.sh")
    out = f"put lines {first} to {last} into a script, sed -n {first},{last}p {shlex.quote(tasklist)} > {script}"
    also = next((words for sign, words in _OTHERWISE if why.startswith(sign)), "")
    return f"{out}, and write in their place: {shell} {script}{also}"


def _read(text: bytes, dash: bool) -> tuple[Line, Commands]:
    """Read *text* without its comment."""
    line = read(text, dash)
    if line.sure and line.end < len(text) and b"\n" not in text[line.end :]:
        line = read(text[: line.end], dash)
    return line, parse(line) if line.sure else Commands()


def _wants_more(commands: Commands) -> bool:
    """Return whether lines behind may finish what is unfinished: not a `done` without its beginning."""
    return commands.unfinished in BEGINNINGS or (commands.unfinished == commands.last and commands.last in JOINTS)


def _continues(text: bytes) -> bool:
    found = _BACKSLASHES.search(text)
    return found is not None and len(found[0]) % 2 == 1


def _joint(line: Line, commands: Commands) -> bytes | None:
    """Return what a newline behind *line* comes to; None: it is taken out, with the backslash before it."""
    if line.open != "'" and _continues(line.text):
        return None
    if line.open in _CODE:
        wants_more = line.text.rstrip(b" \t").endswith((b"(", b"|", b"&&", b"||"))
        return b" " if wants_more or line.open == "((" else b";"
    if line.open:
        return b"\n"
    return b" " if commands.last in JOINTS else b";"


def _past_document(text: bytes, line: Line, lines: Sequence[bytes], at: int, most: int) -> tuple[bytes, int] | None:
    """Return the text without its here-documents, and the last line of their bodies; None: an end is not found."""
    code = bytearray(b"_" * len(text))
    for part, begin, end in line.parts:
        if part in (Part.CODE, Part.NESTED):
            code[begin:end] = text[begin:end]
    pieces: list[bytes] = []
    behind = 0
    for mark in _DOCUMENT.finditer(code):
        word = _WORD.match(text, mark.end())
        if not word:
            return None
        name = next(group for group in word.groups() if group is not None)
        while True:
            at += 1
            if at >= len(lines) or at > most:
                return None
            body = lines[at].removesuffix(b"\r")
            if (body.lstrip(b"\t") if mark[1] else body) == name:
                break
        pieces += [text[behind : mark.start()], b"< ", text[mark.end() : word.end()]]
        behind = word.end()
    return (b"".join([*pieces, text[behind:]]), at) if pieces else None
