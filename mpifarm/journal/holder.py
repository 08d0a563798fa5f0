"""Who holds a lock: a manager, told by the words of one line, and whether he is known to be dead.

    mpifarm host=nid0001 pid=4711 born=123456 job=98765 restart=0 dealt=... tried=... crc=...

What comes behind restart= is how far he has dealt: see `suspects`.

The rule: dead is only who must be. On this host, no process has his number, or one that was born at another time has it;
in Slurm, the same job has been started again since. Of anybody else nothing is known, and the lock's age decides.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from mpifarm.schedule.suspects import NOTHING, Dealt


@dataclass(frozen=True, slots=True)
class Holder:
    """A manager, as the lock file tells of it."""

    host: str
    pid: int
    born: str  # start time of the process, in the kernel's ticks, or "" where it is not told
    job: str = ""
    restart: int = 0

    def text(self, dealt: Dealt = NOTHING) -> str:
        who = f"mpifarm host={self.host} pid={self.pid} born={self.born} job={self.job} restart={self.restart}"
        return f"{who} {dealt.words()}\n"

    def __str__(self) -> str:
        job = f", Slurm job {self.job} (restart {self.restart})" if self.job else ""
        return f"process {self.pid} on {self.host}{job}"

    def is_dead(self, seen_by: Holder) -> bool:
        """Return whether *seen_by*, this process, knows that it has ended; False where nothing is known."""
        if self.job and self.job == seen_by.job and self.restart < seen_by.restart:
            return True
        if self.host != seen_by.host:
            return False
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, OverflowError):  # no process can have such a number
            return True
        except PermissionError:
            return False
        return self.born != _born(self.pid)


def this_process(job: str = "", restart: int = 0) -> Holder:
    """Return what the lock file of this process says: in Slurm, with its job's id and how often that was requeued."""
    return Holder(socket.gethostname(), os.getpid(), _born(os.getpid()), job, restart)


def parse_holder(text: str) -> Holder | None:
    """Return whom the words of a lock name; None if they are not a lock's."""
    words = dict(word.split("=", 1) for word in text.split() if "=" in word)
    try:
        return Holder(words["host"], int(words["pid"]), words["born"], words["job"], int(words["restart"]))
    except (KeyError, ValueError):
        return None


def _born(pid: int) -> str:
    """Return the start time of a process in ticks since boot, "" where /proc does not tell, "zombie" for a dead one.

    Source: proc(5), /proc/pid/stat, fields 3 and 22. A killed rank stays a zombie until its launcher looks.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "zombie" if fields[0] in "ZX" else fields[19]
