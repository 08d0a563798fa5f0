"""A template: a command with fields, in place of which the values of a row are put.

Fields are GNU Parallel's: {} all columns, {1} the first one, {-1} the last one, {name} one that the first line names, each
also with . / // /. at its end (see `values`), and {#} the number of the record. Without a field, {} is put at the end.

The rule: a field either stands for what its value is, for any value, or it is refused; only what is refused differs from
GNU Parallel. Everything else is the shell's, as `{a,b}`, `{1..3}`, `${x}`, `awk '{print}'`. What GNU Parallel would do:
 1. With a field in the first word it quotes no value at all, so that each line is code. Lines that are code are a list.
 2. In quotes of the template the value's own quotes end them, or become part of it. So in quotes a field takes only values
    that need none; each of them there is as it should be, and the same is true where a shell is not read with certainty.
 3. `${1}` and `$x{1}` become `$a` and `$xa`, other variables; `{1}>x` with a 2 becomes another redirection.
 4. In a comment, and a template without a field may end in one, a value is lost; `#{1}` may not have been meant as one.
 5. `find -exec x {}` and `xargs -I{}` mean a {} of their own.
 6. Several columns in one word, `a{}b`, become several words.
 7. What has no such column is empty, or is left as it stands.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mpifarm import FarmError
from mpifarm.tasks.quoting import Line, Part, read
from mpifarm.tasks.values import CHANGES, Change
from mpifarm.texts import shown

_BRACES = re.compile(rb"\{([^{}]*)\}")
_NUMBERED = re.compile(rb"(?:(-?[0-9]+)[ \t]*)?(//|/\.|[./])?")
_ENDING = re.compile(rb"(.*?)(//|/\.|[./])?", re.DOTALL)
_NAME = re.compile(rb"(?!.*\w\.\.\w)[A-Za-z_][\w.-]*(?://|/\.|[./])?")
_ODD = re.compile(rb"(?!.*\w\.\.-?\w)[\w./+#%:^@-]+")  # what GNU Parallel has with --plus, {..} say, or a slip; no 1..3
_PERL = re.compile(rb"\{=.*?=\}")
_FIRST_WORD = re.compile(rb"[^ \t=]*")  # and not of an assignment
_VARIABLE = re.compile(rb"\$[A-Za-z_]\w*\Z")
_OWN = re.compile(  # before a {} that find or xargs may read
    rb"(?P<find>-(?:exec|ok)(?:dir)?[ \t][^;&|]*)\Z|\bxargs\b[^;&|]*(?:-I[ \t]*|--replace=)(?:\{\}[^;&|]*)?\Z"
)
_DIGITS = re.compile(rb"(?:.*[ \t;&|(])?(?:[0-9]|\{[^{} ]*\})*\Z", re.DOTALL)  # behind which digits may be a descriptor's
_CODE = (Part.CODE, Part.NESTED)
_MOST_NAMES = 8  # that a message lists


@dataclass(frozen=True, slots=True)
class Field:
    """A place for a value."""

    text: str  # as it stands in the template
    column: int | None  # from 1, or from the end if negative; None: all of them
    change: Change | None = None
    quotable: bool = True  # where it stands, quotes of a shell's are read as such
    alone: bool = True  # as an argument, so that several may stand there
    descriptor: bool = False  # if it is digits


@dataclass(frozen=True, slots=True)
class Template:
    """What was read of a template: a text before each field, and one at the end."""

    texts: tuple[bytes, ...]
    fields: tuple[Field | None, ...]  # None: the number of the record


def check(template: str) -> None:
    """Raise FarmError if *template* cannot be one, whatever its fields mean."""
    told = f"template '{shown(template)}'"
    if not template.strip() or template.lstrip().startswith("#"):
        raise FarmError(f"{told}: that is no command")
    if "\n" in template:
        raise FarmError(f"{told}: it has a line break, and a task is one line: ; takes its place, or a script")
    if "{%}" in template:
        raise FarmError(f"{told}: {{%}} is not known here: write $MPIFARM_SLOT, the task's slot")
    if _PERL.search(os.fsencode(template)):
        raise FarmError(f"{told}: {{= =}} is Perl, which is not known here: ${{x%.*}} and the like are the shell's")


def parsed(template: str, names: Sequence[bytes] | None) -> Template:
    """Return the fields of *template*; *names* are those of the columns, if they have any. Raises FarmError."""
    check(template)
    reading = _Reading(template, names)
    return reading.template()


class _Reading:
    """A template, and what is known of it."""

    def __init__(self, template: str, names: Sequence[bytes] | None) -> None:
        self._told = f"template '{shown(template)}'"
        self._text = os.fsencode(template)
        self._names = names
        found = [(brace, self._place(brace[1])) for brace in _BRACES.finditer(self._text)]
        self._places = [(brace, place) for brace, place in found if place is not None]
        hidden = _BRACES.sub(self._hidden, self._text)
        self._lines = [read(hidden, dash) for dash in (True, False)]

    def template(self) -> Template:
        """Return it. Raises FarmError."""
        for brace in _BRACES.finditer(self._text):
            if self._place(brace[1]) is None:
                self._refuse_slips(brace)
        if not self._places:
            return self._with_field_at_the_end()
        self._refuse_first_word(self._places[0][0])
        texts, fields, at = [], [], 0
        for brace, (column, change, is_number) in self._places:
            texts.append(self._text[at : brace.start()])
            fields.append(None if is_number else self._field(brace, column, change))
            at = brace.end()
            self._refuse_neighbours(brace)
        return Template((*texts, self._text[at:]), tuple(fields))

    def _place(self, inner: bytes) -> tuple[int | None, Change | None, bool] | None:
        """Return the column, the change and whether it is {#}, of what stands in braces, if that is a field."""
        if self._names is not None and (column := self._column_of(inner)):
            return column
        if inner == b"#":
            return None, None, True
        found = _NUMBERED.fullmatch(inner)
        if not found:
            return None
        number, ending = found.groups(default=b"")
        if number and self._names is not None and number in self._names:
            raise FarmError(f"{self._told}: {{{number.decode()}}} is a column's number, and one has this name: rename it")
        if number and int(number) == 0:
            raise FarmError(f"{self._told}: {{{shown(inner)}}}: columns count from 1")
        return int(number) if number else None, CHANGES[ending.decode()], False

    def _column_of(self, inner: bytes) -> tuple[int | None, Change | None, bool] | None:
        assert self._names is not None
        ending = _ENDING.fullmatch(inner)
        assert ending
        for name, change in ((inner, b""), ending.groups(default=b"")):
            if not name or _NUMBERED.fullmatch(name) or name not in self._names:
                continue
            if self._names.count(name) > 1:
                raise FarmError(f"{self._told}: several columns are called '{shown(name)}': rename them, or write a number")
            return self._names.index(name) + 1, CHANGES[change.decode()], False
        return None

    def _hidden(self, brace: re.Match[bytes]) -> bytes:
        """Return what the shell may read in place of a field, as long as it."""
        return brace[0] if self._place(brace[1]) is None else b"_" * len(brace[0])

    def _field(self, brace: re.Match[bytes], column: int | None, change: Change | None) -> Field:
        before, after = self._text[: brace.start()], self._text[brace.end() :]
        own = _OWN.search(before) if brace[0] == b"{}" else None
        if own:
            whose = "find's" if own["find"] else "xargs's"
            raise FarmError(f"{self._told}: this {{}} may be {whose}, written \\{{\\}}, or a field, written {{1}}")
        quotable = {self._part(line, brace.start()) for line in self._lines} <= {*_CODE, None}
        edges = not before or before[-1:] in b" \t", not after or after[:1] in b" \t;&|)"
        return Field(
            shown(brace[0]),
            column,
            change,
            quotable=quotable,
            alone=all(edges) and quotable and not before.rstrip().endswith((b"<", b">")),
            descriptor=quotable and self._may_be_descriptor(brace),
        )

    def _may_be_descriptor(self, brace: re.Match[bytes]) -> bool:
        return self._text[brace.end() :].startswith((b"<", b">")) and _DIGITS.match(self._text[: brace.start()]) is not None

    def _part(self, line: Line, at: int) -> Part | None:
        """Return how the shell reads what stands there; None: as a comment."""
        if not line.sure or line.open:
            return Part.TEXT
        if at >= line.end:
            return None
        return next(part for part, begin, end in line.parts if begin <= at < end)

    def _with_field_at_the_end(self) -> Template:
        for line in self._lines:
            if line.open:
                raise FarmError(
                    f"{self._told}: it leaves {line.open} open, so the line cannot be put at its end: write {{}}"
                )
            if line.sure and line.end < len(self._text):
                raise FarmError(
                    f"{self._told}: at its end the line would be part of the comment: write {{}} where it belongs"
                )
        sure = all(line.sure for line in self._lines)
        alone = sure and not self._text.rstrip().endswith((b"<", b">"))
        return Template((self._text + b" ", b""), (Field("{}", None, quotable=sure, alone=alone),))

    def _refuse_first_word(self, brace: re.Match[bytes]) -> None:
        begin = len(self._text) - len(self._text.lstrip())
        first = _FIRST_WORD.match(self._text, begin)
        if first and brace.start() < first.end():
            field = shown(brace[0])
            raise FarmError(
                f"{self._told}: with {field} in its first word, GNU Parallel would run values as code; "
                "a list of commands needs no --each, and `command` before it makes the value a program's name"
            )

    def _refuse_neighbours(self, brace: re.Match[bytes]) -> None:
        before, field = self._text[: brace.start()], shown(brace[0])
        if before.endswith(b"#") and any(line.sure and line.end == len(before) - 1 for line in self._lines):
            raise FarmError(f"{self._told}: #{field} begins a comment: write '#'{field}, or a blank if it is to be one")
        if brace[0] == b"{#}" and self._may_be_descriptor(brace):
            raise FarmError(f"{self._told}: {{#}} would be a file descriptor there: put a blank behind it")
        if before.endswith(b"$"):
            raise FarmError(
                f"{self._told}: ${field} may be the shell's ${field[1:-1]}, or $ and a field: write one of them"
            )
        variable = _VARIABLE.search(before)
        if variable:
            name = shown(variable[0])
            raise FarmError(f"{self._told}: {name} would be read with the value as one name: write ${{{name[1:]}}}{field}")

    def _refuse_slips(self, brace: re.Match[bytes]) -> None:
        """Refuse what looks like a field, and is none, where the shell means nothing by it."""
        if self._text[: brace.start()].endswith(b"$"):
            return
        parts = {self._part(line, brace.start()) for line in self._lines}
        spoken = not parts <= {Part.LITERAL, None}
        is_name = _NAME.fullmatch(brace[1]) is not None
        if is_name and self._names is not None:
            raise FarmError(self._no_such_name(brace))
        if is_name and spoken:
            raise FarmError(
                f"{self._told}: {shown(brace[0])}: no column has a name, which --header takes from the first line; "
                "if it is no field, write it in single quotes"
            )
        if spoken and _ODD.fullmatch(brace[1]):
            known = ["{}", "{.}", "{/}", "{//}", "{/.}", "{#}", "{1}"]
            near = (difflib.get_close_matches(shown(brace[0]), known, 1, 0.5) or ["{}"])[0]
            raise FarmError(
                f"{self._told}: {shown(brace[0])} is no field; the nearest is {near}; "
                "if it is no field, write it in single quotes"
            )

    def _no_such_name(self, brace: re.Match[bytes]) -> str:
        assert self._names is not None
        names = [shown(name) for name in self._names if name]
        near = difflib.get_close_matches(shown(brace[1]).rstrip("./"), names, 1)
        more = ", ..." if len(names) > _MOST_NAMES else ""
        listed = f"did you mean {{{near[0]}}}?" if near else f"there are {', '.join(names[:_MOST_NAMES])}{more}."
        hint = " --colsep tells what stands between columns." if len(names) == 1 else ""
        inner = shown(brace[1])
        return f"{self._told}: no column is called {inner}; {listed}{hint} If it is no field, write {{ {inner} }}"
