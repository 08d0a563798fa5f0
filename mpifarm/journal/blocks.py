"""What waits for the reader of the output: the blocks of tasks that have succeeded, and lines that come after them.

The rule: a task counts as done when the last byte of its block is out, not before, and what has ended after it comes after
it in the joblog, too. So all of it is one queue. Its bytes are a stream, of which so much has come and so much has gone;
an entry is out when the stream is past the end of its block.

The reader may be slow, or be gone without a word. Whoever gives it up keeps which tasks have not got through: they run
again. The one whose block was under way is among them; nothing more is printed behind its half.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from mpifarm.journal.lines import Attempts, Numbers
from mpifarm.journal.spool import Spool

PIECE_BYTES = 1024 * 1024  # small blocks are joined up to this much; one write() for each would cost more

_ATTEMPT_BYTES = 512  # of an attempt in memory, beside its command and what it has printed
_NOTHING = memoryview(b"")


@dataclass(frozen=True, slots=True)
class Entry:
    """Tasks that have succeeded, with what each of them adds to --output, or a line of the joblog."""

    end: int  # in the stream
    held: int  # bytes in memory beside the blocks
    batch: Attempts | None
    added: Numbers | None
    line: bytes = b""

    @property
    def offsets(self) -> list[int]:
        """Of the tasks."""
        return [] if self.batch is None else self.batch.ended["offset"].tolist()


class Blocks:
    """The queue."""

    def __init__(self) -> None:
        self.given_up: list[int] = []  # tasks whose blocks did not get through
        self._entries: deque[Entry] = deque()
        self._parts: deque[memoryview | Spool] = deque()
        self._contents = self._stream()
        self._piece = _NOTHING  # the first of what waits
        self._came = 0
        self.gone = 0  # bytes of the stream
        self._held = 0
        self._closed = False

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._came - self.gone + self._held

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._entries

    @property
    def offsets(self) -> list[int]:
        """Of the tasks that have succeeded and are not out, and of those that were given up."""
        return [*self.given_up, *(offset for entry in self._entries for offset in entry.offsets)]

    def add(self, batch: Attempts, spool: Spool | None, out: memoryview, added: Numbers) -> None:
        """Tasks have succeeded; *spool* and *out* are their blocks, *spool* that of a single one."""
        if self._closed:
            self.given_up += batch.ended["offset"].tolist()
            if spool:
                spool.close()
            return
        for part in (spool, out):
            if part:
                self._parts.append(part)
                self._came += part.size if isinstance(part, Spool) else len(part)
        held = _ATTEMPT_BYTES * batch.ended.size + sum(map(len, batch.commands))
        self._enter(Entry(self._came, held, batch, added))

    def add_line(self, line: bytes) -> None:
        """A line of the joblog comes after what is here."""
        self._enter(Entry(self._came, len(line), None, None, line))

    def piece(self) -> memoryview:
        """Return the next bytes of the stream, none if all have gone. Raises OSError."""
        if not self._piece:
            self._piece = self._next_piece()
        return self._piece

    def went(self, count: int) -> None:
        """So many bytes of that piece have gone."""
        self.gone += count
        self._piece = self._piece[count:]

    def take_out(self) -> Iterator[Entry]:
        """Take what is out by now."""
        while self._entries and self._entries[0].end <= self.gone:
            entry = self._entries.popleft()
            self._held -= entry.held
            yield entry

    def give_up(self) -> None:
        """Nothing more goes: let all go of which the end is not out, and what comes later."""
        waiting = self._entries
        self.given_up = self.offsets
        self._closed, self._entries, self._held = True, deque(), 0
        for part in self._parts:
            if isinstance(part, Spool):
                part.close()
        self._parts.clear()
        self._contents, self._piece = self._stream(), _NOTHING
        self._came = self.gone
        for entry in waiting:
            if entry.line:
                self.add_line(entry.line)

    def _enter(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._held += entry.held

    def _next_piece(self) -> memoryview:
        gathered: list[bytes | memoryview] = []
        size = 0
        for content in self._contents:
            gathered.append(content)
            size += len(content)
            if size >= PIECE_BYTES:
                break
        else:
            self._contents = self._stream()
        return memoryview(b"".join(gathered) if len(gathered) != 1 else gathered[0])

    def _stream(self) -> Iterator[bytes | memoryview]:
        while self._parts:
            part = self._parts[0]
            if isinstance(part, Spool):
                yield from part.parts()
                part.close()
            else:
                yield part
            self._parts.popleft()
