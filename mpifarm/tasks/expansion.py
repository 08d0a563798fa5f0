"""The expansion of a template: the task list that it makes of rows.

The rule: line n of the arguments is line n of the list. What names the columns becomes a comment, a blank line stays a
blank one, any other is a command; so {#}, the task's Seq and its line all are what they were. A row that does not give each
field a value that arrives as it is ends the expansion, with the line.

It is made column by column, of thousands of rows at a time: whether any value of a column needs quotes is one call of
bytes.translate, and all their commands are one %.
Example: `./run {1} > {2/}.out` with the line `1 a/b.x` and --colsep ' ' is `./run 1 > b.x.out`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, groupby

from mpifarm import FarmError
from mpifarm.settings import Each
from mpifarm.tasks.columns import BETWEEN, BLANKS, Row, splitter
from mpifarm.tasks.rows import CHUNK_BYTES, Rows
from mpifarm.tasks.template import Field, check, parsed
from mpifarm.tasks.values import are_plain, quoted
from mpifarm.texts import shown
from mpifarm.words import count

Values = Sequence[bytes]


class Expansion:
    """The task list that a template makes of rows, as a stream: line n of the arguments is line n of it."""

    def __init__(self, each: Each, rows: Rows) -> None:
        """Nothing of *rows* is read yet. Raises FarmError."""
        self.commands = 0  # that the last pass has made so far; 0 at its end: there is no task
        self.hash_at: int | None = None  # the first row that begins with #, and is an argument like any other
        self._each = each
        self._rows = rows
        self._split = splitter(each.colsep)
        check(each.template)
        if not each.header:
            parsed(each.template, None)

    def chunks(self) -> Iterator[bytes]:
        """Yield the list, whole lines, about tfin.CHUNK_BYTES each; each call begins anew. Raises FarmError."""
        self.commands, self.hash_at = 0, None
        number, maker = 1, None
        for chunk in self._rows.chunks(self._each):
            first, lines = chunk, chunk
            if maker is None:
                if self._each.header:
                    first, _, lines = chunk.partition(b"\n")
                maker = _Maker(self._each, self._rows, self._names(first))
                if self._each.header and self._rows.lines:
                    yield b"#" + first.replace(BETWEEN, b",") + b"\n"
                    number += 1
            if lines:
                self._look_for_hash(lines, number)
                rows = self._rows_of(lines[:-1], number)
                for at in range(0, len(rows), maker.most):
                    yield self._made(maker, rows[at : at + maker.most], number + at)
                number += len(rows)

    def _made(self, maker: _Maker, rows: Sequence[Row], number: int) -> bytes:
        made = []
        for run in maker.runs(rows):
            made.append(maker.made(run, number))
            number += len(run)
            self.commands += len(run) if run[0] else 0
        return b"".join(made)

    def _names(self, first: bytes) -> Row | None:
        """Return the names of the columns that stand in the *first* line, if they do."""
        return [name.strip() for name in self._rows_of(first, 1)[0]] if self._each.header else None

    def _rows_of(self, lines: bytes, number: int) -> list[Row]:
        rows = self._split(lines)
        if self._rows.csv and self._each.colsep is not None and b'"' in lines:
            self._refuse_quoted(rows, number)
        return rows

    def _look_for_hash(self, lines: bytes, number: int) -> None:
        if self.hash_at is None and (lines.startswith(b"#") or b"\n#" in lines):
            at = 0 if lines.startswith(b"#") else lines.index(b"\n#") + 1
            self.hash_at = number + lines.count(b"\n", 0, at)

    def _refuse_quoted(self, rows: Sequence[Row], number: int) -> None:
        for at, row in enumerate(rows):
            if any(value.lstrip().startswith(b'"') for value in row):
                raise FarmError(
                    f"{self._rows.where(number + at)}: a value is quoted, and --colsep knows no quotes: "
                    "without it, --header reads a .csv file as one"
                )


class _Maker:
    """Makes commands of rows."""

    def __init__(self, each: Each, rows: Rows, names: Row | None) -> None:
        self._template = template = parsed(each.template, names)
        self._rows = rows
        self._width = None if names is None else len(names)
        self._before = int(names is not None and rows.lines)  # rows that count as no record
        self._trim = each.colsep is not None
        self.most = max(1, CHUNK_BYTES // (len(each.template) + 1))  # rows at a time
        codes = [b"%d" if field is None else b"%b" for field in template.fields]
        texts = [text.replace(b"%", b"%%") for text in template.texts]
        self._plan = b"".join(chain.from_iterable(zip(texts, [*codes, b"\n"], strict=True)))

    def runs(self, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
        """Yield *rows*, those of one number of columns together; blank ones have none."""
        if len(set(map(len, rows))) == 1 and (len(rows[0]) > 1 or all(row[0].strip(BLANKS) for row in rows)):
            yield rows
            return
        for width, group in groupby(rows, self._width_of):
            run = list(group)
            yield run if width else [[]] * len(run)

    def _width_of(self, row: Row) -> int:
        return 0 if self._rows.lines and len(row) == 1 and not row[0].strip(BLANKS) else len(row)

    def made(self, rows: Sequence[Row], number: int) -> bytes:
        """Return the commands of *rows*, the first of which has that *number*; they are one of the `runs`."""
        if not rows[0]:
            return b"\n" * len(rows)
        if self._width is not None and len(rows[0]) != self._width:
            raise FarmError(
                f"{self._rows.where(number)}: {count(len(rows[0]), 'column')}, "
                f"but the first line has {count(self._width, 'name')}"
            )
        columns = list(zip(*rows, strict=True))
        seq = number - self._before
        fills: list[Values | range] = [
            range(seq, seq + len(rows)) if field is None else self._filled(field, columns, number)
            for field in self._template.fields
        ]
        return self._plan * len(rows) % tuple(chain.from_iterable(zip(*fills, strict=True)))

    def _filled(self, field: Field, columns: Sequence[Values], number: int) -> Values:
        """Return what stands in place of *field*, row by row."""
        if field.column is None:
            if len(columns) > 1 and not field.alone:
                raise FarmError(
                    f"{self._rows.where(number)}: {field.text} is {len(columns)} columns here, "
                    "which cannot be one word: write {1} or another one"
                )
            words = [self._words(field, values, number) for values in columns]
            return words[0] if len(words) == 1 else list(map(b" ".join, zip(*words, strict=True)))
        place = field.column - 1 if field.column > 0 else len(columns) + field.column
        if not 0 <= place < len(columns):
            raise FarmError(f"{self._rows.where(number)}: no column {field.text}: the row has {self._few(len(columns))}")
        return self._words(field, columns[place], number)

    def _few(self, columns: int) -> str:
        hint = "" if self._trim or columns > 1 else "; --colsep tells what stands between columns"
        return f"{count(columns, 'column')}{hint}"

    def _words(self, field: Field, values: Values, number: int) -> Values:
        """Return *values* as words of a shell's."""
        if self._trim:
            values = list(map(bytes.strip, values))
        if field.change:
            values = list(map(field.change, values))
        if field.descriptor:
            self._refuse(bytes.isdigit, values, number, field, "would be a file descriptor: put a blank behind the field")
        if are_plain(values):
            return values
        if not field.quotable:
            told = "needs quotes, and the field stands in quotes already: take those away"
            self._refuse(lambda value: quoted(value) != value, values, number, field, told)
        return list(map(quoted, values))

    def _refuse(self, is_bad: Callable[[bytes], bool], values: Values, number: int, field: Field, why: str) -> None:
        for at, value in enumerate(values):
            if is_bad(value):
                where = self._rows.where(number + at)
                raise FarmError(f"{where}: the value '{shown(value)}' of {field.text} {why}")
