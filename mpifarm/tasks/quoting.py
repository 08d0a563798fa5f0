"""A line as a shell reads it: what is quoted, what is code, where a comment begins, what is left open.

Why: a word behind # means something only where the shell sees a comment, `{}` only where it is not quoted, and a line that
leaves a quote open was meant to go on in the next one, which here is a task of its own.

The rule: what this is not sure of, it does not claim. It is no parser: at `case` in parentheses, a quote in `${ }` in
double quotes, `$[ ]` it gives up, and says that it is not sure. Whatever it calls open, the shell must call a syntax error
(the tests ask dash and bash), or it is a backslash at the end, or a here-document.

Example: in `echo "a $(b 'c')" \\# d # e` the comment begins at the last #. CODE is `echo "__________" __ d `, NESTED is
`$(b '_')`, TEXT is `a `, LITERAL are `c` and `\\#`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # of UTF-8, at the beginning of a line: no part of it


class Part(IntEnum):
    """What a piece of a line is. Quotes belong to what stands around them."""

    CODE = 0  # of the line itself, subshells included
    NESTED = 1  # code in $( )
    TEXT = 2  # in which variables are expanded: in double quotes, ${ }, backquotes
    ARITHMETIC = 3  # $(( )) and (( ))
    LITERAL = 4  # in single quotes, behind a backslash


@dataclass(frozen=True, slots=True)
class Line:
    """A line that was read."""

    text: bytes
    parts: tuple[tuple[Part, int, int], ...]  # (what, from, to), in order, up to the comment
    end: int  # where the comment begins; without one, where the line ends
    open: str = ""  # what it leaves open: one of ' " ` $( ${ ( (( \ <<
    sure: bool = True  # if not, nothing else counts

    def only(self, *wanted: Part) -> bytes:
        """Return the line up to its comment, with _ for what is none of *wanted*."""
        return b"".join([self.text[at:to] if part in wanted else b"_" * (to - at) for part, at, to in self.parts])


# Where a command begins in what is code: at the start, behind an operator or a keyword. Assignments may stand before it.
COMMAND = rb"(?:^|[;&|({!]|\b(?:do|then|else|if|elif|while|until|time)(?=[ \t]))[ \t]*(?:[A-Za-z_]\w*=[^\s;&|]*[ \t]+)*"

_SPECIAL = re.compile(rb"['\"\\`$#()]|<<")
_NESTING = rb"|(?P<arithmetic>\$\(\()|(?P<command>\$\()|(?P<brace>\$\{)|(?P<ticks>`(?:[^`\\]|\\.)*`)"


def _code(string: bytes, parameter: bytes) -> re.Pattern[bytes]:
    return re.compile(
        rb"(?P<plain>[^'\"\\`$#()<]+|<<<|<(?!<))|(?P<escape>\\.)" + _NESTING + rb"|(?P<unsure>\$\[)"
        rb"|(?P<single>" + string + rb")|(?P<double>\")|(?P<parameter>" + parameter + rb"[#$?!*@-]?)"
        rb"|(?P<reckoning>\(\()|(?P<paren>\()|(?P<end>\))|(?P<hash>\#)|(?P<document><<)"
    )


_TEXT = re.compile(rb"(?P<plain>[^\"\\`$]+)|(?P<escape>\\.)|(?P<end>\")" + _NESTING + rb"|(?P<parameter>\$[#$?!*@-]?)")
_BRACE = re.compile(
    rb"(?P<plain>[^'\"\\`$}]+)|(?P<escape>\\.)|(?P<end>\})|(?P<single>'[^']*')|(?P<double>\")|(?P<unsure>\$')"
    + _NESTING + rb"|(?P<parameter>\$[#$?!*@-]?)"
)  # fmt: skip
_NUMBERS = (
    rb"(?P<plain>[^()'\"\\`$]+)|(?P<inner>\()" + _NESTING + rb"|(?P<parameter>\$[#$?!*@-]?)|(?P<end>%b)|(?P<unsure>.)"
)
_ARITHMETIC = re.compile(_NUMBERS % rb"\)\)")  # a lone ) shows that it was none
_INNER = re.compile(_NUMBERS % rb"\)")

# By what is open: how to go on, and what stands there. (( is $((, ((. is ((, ((+ a parenthesis in them, =( one of a word.
_PATTERNS = {'"': _TEXT, "${": _BRACE, "((": _ARITHMETIC, "((.": _ARITHMETIC, "((+": _INNER}
_PARTS = {'"': Part.TEXT, "${": Part.TEXT, **dict.fromkeys(("((", "((.", "((+"), Part.ARITHMETIC)}
_CODES = {True: _code(rb"'[^']*'", rb"\$"), False: _code(rb"'[^']*'|\$'(?:[^'\\]|\\.)*'", rb"\$(?!')")}
_OPENERS = {
    **{"command": "$(", "paren": "(", "brace": "${", "double": '"'},
    **{"arithmetic": "((", "reckoning": "((.", "inner": "((+"},
}
_EDGES = {"$(": Part.NESTED, **{frame: part for frame, part in _PARTS.items() if frame != '"'}}  # else, what is around

_BREAKS = b" \t;&|()<>"  # behind these, a word begins
_CASE = re.compile(rb"\bcase\b")
_FUNNY = re.compile(rb"[ \t|(]|#[^\w@*}]")  # behind ${: a command (bash 5.3), or what the shells take differently
_PARAMETER = re.compile(rb"#?(?:\w+|[@*#?$!-])(?:[}:%#=+?/^,@\[-]|$)")  # behind ${ anything else may be an end, to dash
_DEEP = 40  # what is nested deeper is no task of anybody's
_PARENS = ("(", "((", "$(")


class _NotSureError(Exception):
    """The line holds what is beyond this module."""


def read(text: bytes, dash: bool) -> Line:
    """Read the line *text*, without its end, as dash or else bash does."""
    if not _SPECIAL.search(text):
        return Line(text, ((Part.CODE, 0, len(text)),), len(text))
    reading = _Reading(text, dash)
    try:
        left_open = reading.read()
    except _NotSureError:
        return Line(text, (), len(text), sure=False)
    return Line(text, tuple(reading.parts), reading.end, left_open)


def comment_at(text: bytes, dash: bool) -> int | None:
    """Return where in the line *text* the shell sees a comment begin: at its #, else at the end; None: not sure."""
    line = read(text, dash)
    return line.end if line.sure else None


class _Reading:
    """A line, and what of it was read."""

    def __init__(self, text: bytes, dash: bool) -> None:
        self.parts: list[tuple[Part, int, int]] = []
        self.end = len(text)
        self._text = text
        self._pattern = _CODES[dash]
        self._frames: list[str] = []  # what is open, the innermost last
        self._in_word = False
        self._document = False
        self._doubtful = False

    def read(self) -> str:
        """Read all of it; return what is left open."""
        at = 0
        while at < self.end:
            frame = self._frames[-1] if self._frames else ""
            found = _PATTERNS.get(frame, self._pattern).match(self._text, at)
            if not found:
                return self._without_end(at)
            self._take(str(found.lastgroup), at, found.end())
            at = found.end()
        if self._document:
            return "<<"
        left_open = self._frames[-1].strip("+=.") if self._frames else ""
        if left_open in _PARENS and b"[[" in self._text:  # an error there is one for bash, but not in its exit code
            raise _NotSureError
        return self._sure(left_open)

    def _without_end(self, at: int) -> str:
        if self._document:
            return "<<"
        if self._frames[-1:] == ["${"]:
            self._refuse_quotes()
        return self._sure(self._text[at:].lstrip(b"$")[:1].decode())

    def _sure(self, left_open: str) -> str:
        reckons = any(frame.startswith("((") for frame in self._frames)
        within = reckons and not self._frames[-1].startswith("((")  # bash may look for the )) alone
        if left_open and (self._doubtful or within):
            raise _NotSureError
        return left_open

    def _take(self, group: str, at: int, to: int) -> None:
        """Note what stands from *at* *to*."""
        if group == "unsure":
            raise _NotSureError
        if group in _OPENERS:
            self._enter(_OPENERS[group], at, to)
        elif group == "end":
            self._leave(at, to)
        elif group == "single":
            self._single(at, to)
        elif group == "hash" and not self._in_word:
            self.end = at
            self._frames.clear()  # whether people meant the comment to end it all is not for us to say
        else:
            self._note({"escape": Part.LITERAL, "ticks": Part.TEXT}.get(group) or self._around(), at, to)
            self._document = self._document or group == "document"
            self._in_word = self._text[to - 1] not in _BREAKS or group == "escape"
            if group == "plain" and self._frames and _CASE.search(self._text, at, to):
                raise _NotSureError

    def _single(self, at: int, to: int) -> None:
        if "${" in self._frames:
            self._refuse_quotes()
        begin = self._text.index(b"'", at) + 1
        self._note(self._around(), at, begin)
        self._note(Part.LITERAL, begin, to - 1)
        self._note(self._around(), to - 1, to)
        self._in_word = True

    def _enter(self, frame: str, at: int, to: int) -> None:
        if frame == '"' and self._frames[-1:] == ["${"]:
            self._refuse_quotes()
        if len(self._frames) == _DEEP or (frame == "${" and _FUNNY.match(self._text, to)):
            raise _NotSureError
        self._doubtful = self._doubtful or (frame == "${" and not _PARAMETER.match(self._text, to))
        self._note(_EDGES.get(frame) or self._around(), at, to)
        in_word = frame == "(" and at and self._text[at - 1] in b"=<>"  # a=(1 2), <(ls): behind the end, the word goes on
        self._frames.append("=(" if in_word else frame)
        self._in_word = False

    def _leave(self, at: int, to: int) -> None:
        frame = self._frames.pop() if self._frames else "("  # without one: of a pattern of `case`, or an error
        self._note(_EDGES.get(frame) or self._around(), at, to)
        self._in_word = frame not in ("(", "((.")

    def _refuse_quotes(self) -> None:
        """The shells differ about quotes in ${ } in double quotes."""
        if '"' in self._frames:
            raise _NotSureError

    def _around(self) -> Part:
        """Return what stands in the innermost of what is open."""
        if not self._frames:
            return Part.CODE
        nested = Part.CODE if set(self._frames) <= {"(", "=("} else Part.NESTED
        return _PARTS.get(self._frames[-1], nested)

    def _note(self, part: Part, at: int, to: int) -> None:
        if to > at:
            self.parts.append((part, at, to))
