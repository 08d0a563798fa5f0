"""The commands of a line, and what of a compound command it leaves unfinished.

Why: `for i in 1 2; do` on a line of its own was meant to go on in the next line, and `cd sub` alone does nothing at all,
while `cd sub && ./run` is a task.

The rule: as in `quoting`, what is not sure is not claimed. Whatever is called unfinished, the shell must call an error of
syntax. Only keywords where a command may begin are counted, and none in a line with `case ... esac`, where they may be
patterns, with a list in parentheses, as in `a=(if then)`, or with a word behind which bash knows keywords and dash none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mpifarm.tasks.quoting import Line, Part

_TOKEN = re.compile(
    rb"(?P<redirect>\d*(?:&>>?|<<<|<<-?|<>|[<>]&|>>|>\||[<>](?!\()))|(?P<operator>;;&?|;&|&&|\|\||\|&|[<>]?\(|[;&|)])"
    rb"|(?P<word>[^ \t;&|()<>]+)"
)
_ASSIGNMENT = re.compile(rb"[A-Za-z_]\w*\+?=")
_CONDITION = re.compile(rb"\[\[ .*? \]\](?![^ \t;&|)])")
_UNSURE = re.compile(rb"=\(|case.*esac|\[\[|[<>]\(|\b(?:time|coproc|function|select)\b")
BEGINNINGS = {b"if": b"fi", b"while": b"done", b"until": b"done", b"for": b"done", b"case": b"esac", b"{": b"}"}
_MIDDLES = {b"then": b"fi", b"elif": b"fi", b"else": b"fi", b"do": b"done"}
_ENDS = frozenset(BEGINNINGS.values())
JOINTS = (b"&&", b"||", b"|")  # what stands between two commands
_CASES = (b";;", b";&", b";;&")  # what ends a part of `case`


@dataclass(slots=True)
class Command:
    """A simple command."""

    words: list[bytes] = field(default_factory=list)  # as they are written, assignments among them
    targets: list[bytes] = field(default_factory=list)  # of its redirections


@dataclass(slots=True)
class Commands:
    """The commands of a line, up to its comment."""

    simple: list[Command] = field(default_factory=list)
    compound: bool = False  # keywords or parentheses hold them together
    last: bytes = b""  # the operator behind the last one, if there is one
    unfinished: bytes = b""  # a keyword or an operator that wants more than this line
    sure: bool = True  # if not, nothing is known of `unfinished`


def parse(line: Line) -> Commands:
    """Return the commands of *line*, which must be sure."""
    shape = _CONDITION.sub(lambda found: b"_" * len(found[0]), line.only(Part.CODE))
    parsing = _Parsing()
    for token in _TOKEN.finditer(shape):
        if token.lastgroup == "redirect":
            parsing.target = True
        elif token.lastgroup == "operator":
            parsing.operator(token[0])
        else:
            parsing.word(token[0], line.text[token.start() : token.end()])
    return parsing.result(sure=not _UNSURE.search(shape))


class _Parsing:
    """What is known between two words of a line."""

    def __init__(self) -> None:
        self.target = False  # that of a redirection is next
        self._found = Commands()
        self._command: Command | None = None  # that the next word belongs to
        self._keywords = True  # count here
        self._open: list[bytes] = []  # the beginnings of compound commands that have not ended
        self._for = 0  # words since `for`, 1 being the `for` itself
        self._nothing_yet = True
        self._sure = True

    def operator(self, operator: bytes) -> None:
        """Take the next operator."""
        if (self._nothing_yet and operator in JOINTS) or (operator in _CASES and b"case" not in self._open):
            self._found.unfinished = self._found.unfinished or operator
        self._found.compound = self._found.compound or operator in (b"(", b")")
        self._command, self._keywords, self._for = None, True, 0
        self._found.last, self._nothing_yet = operator, False

    def word(self, shape: bytes, text: bytes) -> None:
        """Take the next word: *shape* is what of it is not quoted."""
        self._nothing_yet = False
        self._found.last = b""
        if self.target:
            self.target = False
            if self._command is None:
                self._begin()
            assert self._command is not None
            self._command.targets.append(text)
            return
        if self._for:
            self._for += 1
        if (self._keywords or (self._for == 3 and shape == b"do")) and self._keyword(shape):
            return
        if self._command is None:
            self._begin()
        assert self._command is not None
        self._command.words.append(text)
        self._keywords = False

    def _begin(self) -> None:
        self._command = Command()
        self._found.simple.append(self._command)
        self._keywords = False

    def _keyword(self, word: bytes) -> bool:
        """Take *word* if it is a keyword, and return whether it was."""
        if word == b"!":
            return True
        if word in BEGINNINGS:
            self._sure = self._sure and not (word == b"{" and b"for" in self._open)  # bash knows `for i in a; { b; }`, too
            self._open.append(word)
            self._keywords = word not in (b"for", b"case")
            self._for = 1 if word == b"for" else 0
            if not self._keywords:
                self._begin()  # its name and words are nobody's command, but they are words
        elif word in _MIDDLES:
            self._expect(word, _MIDDLES[word])
            self._keywords, self._for, self._command = True, 0, None
        elif word in _ENDS:
            self._expect(word, word)
            if self._open:
                self._open.pop()
        else:
            return False
        self._found.compound = True
        return True

    def _expect(self, word: bytes, end: bytes) -> None:
        """Note that *word* stands in nothing that ends with *end*."""
        if not self._found.unfinished and (not self._open or BEGINNINGS[self._open[-1]] != end):
            self._found.unfinished = word

    def result(self, sure: bool) -> Commands:
        """Return what was found."""
        if not (sure and self._sure):
            self._found.unfinished = b""
            self._found.sure = False
            self._found.compound = True
        elif not self._found.unfinished and self._open:
            self._found.unfinished = self._open[0]
        elif not self._found.unfinished and self._found.last in JOINTS:
            self._found.unfinished = self._found.last
        return self._found
