"""The memory of the farm: output, progress, fastrecovery, joblog, log and done, written by rank 0 alone.

The rule: at any moment the farm may be killed, and what the files then say is true. So

1. the order is captured output, progress, joblog, log: a block without its progress line is cut at the next start, a
   progress line without its block would be a result that nobody has. So what has succeeded waits in `output` until its
   block is out, which is up to whoever reads it; a flush writes what he takes, and does not wait for him;
2. write() at once, since a killed manager loses nothing that was written; fdatasync once a second at most, since a node
   that dies loses a second;
3. fastrecovery is replaced as a whole, after a sync: it never stands for a line that could still be lost. See there. Nor
   does it, or a done file, for a progress file or --output that is not as long as what was written to it.

progress and joblog have a line for each task that succeeded, and for each attempt that ended: see `lines`.

log: for people. What an attempt that failed, or was interrupted, has printed is indented below it. What has failed for
good and succeeds later is taken back: see `retraction`.

    2026-11-22 12:00:01 failed: task 18 (tasks.txt:21), attempt 1, nid0001-2, exit code 3, 0.004 s: echo 17; ls x; exit 3
        stderr:
            ls: cannot access 'x': No such file or directory
        stdout:
            17
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from mpifarm import files
from mpifarm.journal import fastrecovery, lines, resume, retraction, tails
from mpifarm.journal.appender import Appender
from mpifarm.journal.fastrecovery import Covered
from mpifarm.journal.identity import Identity
from mpifarm.journal.lines import Attempt, Attempts, Numbers, Rows
from mpifarm.journal.names import Names
from mpifarm.journal.output import Output
from mpifarm.journal.retraction import Retractions
from mpifarm.journal.spool import Spool
from mpifarm.journal.warrant import Warrant
from mpifarm.schedule.suspects import Word
from mpifarm.voice import Voice

SYNC_S = 1.0

Watch = Callable[[Sequence[Attempts], Rows], object]

_INDENT = b"    "
_NOTHING = memoryview(b"")


class Journal:
    """The open files of a run. Every method may raise OSError; nothing is half written then, and nothing more should be."""

    def __init__(
        self,
        names: Names,
        output: Path | None,
        start: resume.Resume,
        warrant: Warrant,
        name: Callable[[int], str],
        run: Identity | None = None,
        retractions: Retractions | None = None,
    ) -> None:
        """Open the files, and cut off what does not count of them: see `judge`.

        *name* tells what people call a task, by its seq; *retractions* are due for what earlier runs have said.
        """
        self._names = names
        self._warrant = warrant
        self._name = name
        self._identity = run
        self._retractions = Retractions() if retractions is None else retractions
        for path in names.all():
            files.remove(files.new_name(path), warrant.prove)  # of a manager that was killed
        self.output = Output(output, start.output_bytes, warrant)
        self._progress = Appender(names.progress, warrant)
        self._joblog = Appender(names.joblog, warrant)
        if not self._joblog.size:
            self._joblog.append([lines.JOBLOG_HEADER])
        self._log = Appender(names.log, warrant)
        self.voice = Voice()  # what goes to standard error
        self._lines: dict[Appender, list[bytes]] = {self._progress: [], self._joblog: [], self._log: []}
        for directory in {appender.path.parent for appender in self._appenders()}:
            files.sync_directory(directory)
        self._synced_bytes = start.progress_bytes  # of progress, by this run's last sync
        self._synced_lines = 0
        self.recorded = 0  # tasks, by this run
        self._unwritten = 0  # tasks of which the line of progress is made, and not yet written
        self._synced = float("-inf")
        self._watch: Watch = lambda _batches, _rows: None

    @property
    def joblog_bytes(self) -> int:
        """How long the joblog is, as far as it is written."""
        return self._joblog.size

    def watched_by(self, watch: Watch) -> None:
        """Call *watch* with what is recorded, once for all tasks of a turn; it keeps nothing of the batches."""
        self._watch = watch

    # in memory, until `flush`

    def succeeded(self, batch: Attempts, spool: Spool | None, out: memoryview, err: memoryview) -> None:
        """Record tasks that are done; *spool* and *out* are their standard outputs, *spool* that of a single one."""
        self.output.add(batch, spool, out)
        if err:
            self.voice.add(err)

    def failed(self, attempt: Attempt, out: memoryview, err: memoryview, final: bool) -> None:
        """Record an attempt that failed; *final*: it was the task's last one in this run."""
        self._add_to_joblog(attempt)
        header = (
            f"{retraction.FAILED if final else 'failed'}: {self._name(attempt.seq)},"
            f" attempt {attempt.attempt}, {attempt.node}-{attempt.slot}, {lines.reason(attempt)}, {attempt.seconds:.3f} s: "
        )
        when = self._add_to_log(header.encode() + lines.in_one_line(attempt.command), err, out)
        if final:
            self._retractions.failed(attempt.offset, when)

    def interrupted(self, attempt: Attempt) -> None:
        """Record an attempt that was stopped with the farm: no failure, it will run again."""
        self._add_to_joblog(attempt)

    def tell_interrupted(self, attempt: Attempt, by: str, out: memoryview, err: memoryview) -> None:
        """Tell people of such an attempt, where it stood, and *by* what it was interrupted, if there is more to say."""
        ran = f"{attempt.node}-{attempt.slot}, had run {attempt.seconds:.3f} s: "
        header = f"interrupted{by}: {self._name(attempt.seq)}, attempt {attempt.attempt}, {ran}"
        self._add_to_log(header.encode() + lines.in_one_line(attempt.command), err, out)

    def event(self, text: str) -> None:
        """Tell people what happened to the farm."""
        self._add_to_log(text.encode())

    # on disk

    def flush(self) -> None:
        """Write what was recorded, as far as it is taken: captured output, then progress, then joblog and log."""
        shown = self.output.shows
        if shown:
            self.voice.clear()
        self.output.turn()
        if shown:
            self.voice.torn = self.output.torn
        self._make_lines()
        for appender, written in self._lines.items():
            if written:
                appender.append(written)
                written.clear()
            if appender is self._progress:
                self.recorded += self._unwritten
                self._unwritten = 0
        self.voice.turn(draws=not self.output.shows)

    def _make_lines(self) -> None:
        """Make the lines of what is out, all at once where no other line comes in between."""
        batches: list[Attempts] = []
        added: list[Numbers] = []
        for entry in self.output.take_out():
            if entry.batch is None or entry.added is None:
                self._add_successes(batches, added)
                self._lines[self._joblog].append(entry.line)
            else:
                batches.append(entry.batch)
                added.append(entry.added)
                self._retract(entry.batch)
        self._add_successes(batches, added)

    def _add_successes(self, batches: list[Attempts], added: list[Numbers]) -> None:
        if not batches:
            return
        in_output = np.concatenate(added)
        rows = lines.rows_of(batches)
        progress, joblog = lines.of_successes(batches, rows, in_output)
        self._watch(batches, rows)
        self._lines[self._progress].append(progress)
        self._lines[self._joblog].append(joblog)
        self.output.recorded(int(in_output.sum()))
        self._unwritten += in_output.size
        batches.clear()
        added.clear()

    def _retract(self, batch: Attempts) -> None:
        for attempt, when in self._retractions.take(batch):
            header = (
                f"{retraction.SUCCEEDED}: {self._name(attempt.seq)}, attempt {attempt.attempt},"
                f" {attempt.node}-{attempt.slot}, had {retraction.FAILED} on {when}: "
            )
            self._add_to_log(header.encode() + lines.in_one_line(attempt.command))

    def sync(self, now: float) -> None:
        """Make what was flushed survive a crash of the node; at most once a second."""
        if now >= self._synced + SYNC_S:
            self._sync()
            self._synced = now

    def checkpoint(
        self, index: int, offset: int, list_crc: int, left: Iterable[int], suspects: Sequence[Word] = ()
    ) -> None:
        """Replace fastrecovery: of the *index* records before *offset* all are done but those at *left*, none behind.

        What the output has `unread` is among *left*.
        """
        state = self._state(index, offset, list_crc, left, suspects)
        files.replace(self._names.fastrecovery, state, self._warrant.prove)

    def finish(self, index: int, offset: int, list_crc: int) -> None:
        """Say that all is done: the *index* records before *offset*, the end of the list."""
        done = fastrecovery.done_content(self._state(index, offset, list_crc, ()))
        files.replace(self._names.done, done, self._warrant.prove)
        files.remove(self._names.fastrecovery, self._warrant.prove)

    def publish(self, status: bytes) -> None:
        """Replace the status file: what others may see of the run at this moment, and nobody's result."""
        files.refresh(self._names.status, status, self._warrant.prove)

    def close(self) -> None:
        """Sync and close everything."""
        for appender in self._appenders():
            appender.close()

    def _appenders(self) -> list[Appender]:
        return ([self.output.file] if self.output.file else []) + list(self._lines)

    def _state(self, index: int, offset: int, list_crc: int, left: Iterable[int], suspects: Sequence[Word] = ()) -> bytes:
        """Return what fastrecovery is to say. What it stands for is synced by then."""
        self._sync()
        for appender in filter(None, (self._progress, self.output.file)):
            appender.check()
        covered = Covered(self._progress.size, self.output.recorded_bytes, self._joblog.size, self.output.tail())
        return fastrecovery.content(index, offset, list_crc, covered, left, self._identity, suspects)

    def _sync(self) -> None:
        try:
            for appender in self._appenders():
                appender.sync()
        except OSError:
            # What was written since the last sync may be lost by now, and the kernel says so only once: it runs again.
            with suppress(OSError):
                self._progress.cut(self._synced_bytes)
                self.recorded = self._synced_lines
            raise
        self._synced_bytes, self._synced_lines = self._progress.size, self.recorded

    def _add_to_joblog(self, attempt: Attempt) -> None:
        self.output.add_line(lines.joblog_line(attempt))

    def _add_to_log(self, text: bytes, err: memoryview = _NOTHING, out: memoryview = _NOTHING) -> str:
        """Add an entry, and what an attempt has printed; return the local time that it bears."""
        when = time.strftime("%Y-%m-%d %H:%M:%S")
        head = when.encode() + b" " + text + b"\n"
        self._lines[self._log] += [head, *_labelled(b"stderr", err), *_labelled(b"stdout", out)]
        return when


def _labelled(label: bytes, printed: memoryview) -> Iterator[bytes]:
    """Yield what was printed, if anything was, indented below its *label*."""
    if printed:
        yield b"%s%s:\n" % (_INDENT, label)
        yield 2 * _INDENT + bytes(printed).removesuffix(b"\n").replace(b"\n", b"\n" + 2 * _INDENT) + b"\n"


def judge(warrant: Warrant, names: Names, output: Path | None, start: resume.Resume) -> None:
    """Note what counts of the files that are going to be opened: neither torn tails nor blocks without a progress line."""
    warrant.judge(names.progress, start.progress_bytes)
    if output:
        warrant.judge(output, start.output_bytes)
    for path in (names.joblog, names.log):
        if path.exists():
            warrant.judge(path, tails.whole_lines(path))


def reopen(names: Names, warrant: Warrant) -> None:
    """Take the done file away: there is more to do. What it remembers is a checkpoint again, at any moment."""
    if fastrecovery.read_done(names.done) and not names.fastrecovery.exists():
        files.replace(names.fastrecovery, fastrecovery.remembered(names.done), warrant.prove)
    files.remove(names.done, warrant.prove)


def forget(names: Names, run: Identity, warrant: Warrant) -> None:
    """Forget earlier runs, and that they are forgotten holds whenever we are killed.

    Progress goes first: without it, fastrecovery counts for nothing, but it still tells whose --output is. Then *run* has
    that file: what stands in it is cut when it is opened.
    """
    warrant.remove(names.progress)
    joblog = tails.whole_lines(names.joblog) if names.joblog.exists() else 0
    files.replace(names.fastrecovery, fastrecovery.content(0, 0, 0, Covered(0, 0, joblog, 0), (), run), warrant.prove)
