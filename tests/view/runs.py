"""The files of runs that never were: as a farm writes them, without a farm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mpifarm.journal.lines import JOBLOG_HEADER

T0 = 1_796_000_000.0


@dataclass(frozen=True, slots=True)
class Ran:
    """An attempt of the task in a place of the list, from 0."""

    task: int
    start: float = 0.0  # after T0
    seconds: float = 1.0
    code: int = 0
    number: int = 0  # of a signal
    attempt: int = 1
    node: str = "n1"
    slot: int = 1
    rss_kib: int = 1000
    user_s: float = 0.5
    why: str | None = ""  # as the log says; None: the log has nothing of it
    err: str = ""  # what stands indented below

    def failed(self, why: str = "exit code 1", err: str = "", code: int = 1) -> Ran:
        """Return the same, failed."""
        return replace(self, code=code, why=why, err=err)


class Run:
    """The files of one list, tasks.txt, in the working directory."""

    def __init__(self, commands: Sequence[str], comment: bool = True) -> None:
        self.commands = list(commands)
        self.offsets = [0]
        for command in commands:
            self.offsets.append(self.offsets[-1] + len(f"> {command}\n".encode()))
        head = "# a comment\n" if comment else ""
        Path("tasks.txt").write_text(head + "".join(f"{command}\n" for command in commands))
        Path("tasks.txt.tfin").write_text("".join(f"> {command}\n" for command in commands))
        Path("joblog.tasks.txt.tfin").write_bytes(JOBLOG_HEADER)
        Path("log.tasks.txt.tfin").write_text("")

    def add(self, *ran: Ran) -> None:
        """Append attempts to joblog, progress and log."""
        for one in ran:
            command, offset = self.commands[one.task], self.offsets[one.task]
            shown = command.replace("\x1b", "\\x1b")
            columns = (
                *(one.task + 1, one.node, f"{T0 + one.start:.3f}", f"{one.seconds:.3f}", 0, 0, one.code, one.number),
                *(one.attempt, one.slot, one.rss_kib, f"{one.user_s:.3f}", "0.000", offset, shown),
            )
            self.append("joblog", "\t".join(map(str, columns)) + "\n")
            if not one.code and not one.number:
                end, length = int(T0 + one.start + one.seconds), len(f"> {command}\n".encode())
                self.append("progress", f"{offset} {one.node}-{one.slot} {one.seconds:.3f} 0 {end} {length}\n")
            elif one.why is not None:
                who = f"task {one.task + 1} (offset {offset}), attempt {one.attempt}, {one.node}-{one.slot}"
                head = f"2026-11-30 12:00:00 failed: {who}, {one.why}, {one.seconds:.3f} s: {shown}\n"
                self.append("log", head + "".join(f"    {line}\n" for line in one.err.splitlines()))

    def append(self, kind: str, text: str) -> None:
        """Append to one of the files."""
        with Path(f"{kind}.tasks.txt.tfin").open("a") as file:
            file.write(text)
