"""Who holds a lock: a manager, told by the words of one line, and what is known of him.

    mpifarm host=nid0001 pid=4711 born=123456 boot=7c1e... space=4026531836.4026531834 job=98765 restart=0 dealt=... crc=...

boot is the kernel's id of its start, space the inodes of the namespaces in which pid and born are counted. What comes
behind restart= is how far he has dealt: see `suspects`.

The rule: dead is only whose death was observed. In this very namespace of this very start of the kernel no process has his
number, or one that was born at another time has it. All else proves nothing: two nodes, or two containers, may have one
host name, and a node that Slurm has given up, to start the job again elsewhere, may still write. Of those nothing is known,
and whether they still touch the lock decides. An earlier version has signed without boot and space.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from mpifarm.schedule.suspects import NOTHING, Dealt

_LONGEST = 4096  # bytes of a lock that are read


class Fate(Enum):
    """What is known of a holder."""

    DEAD = "dead"
    ALIVE = "alive"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Holder:
    """A manager, as the lock file tells of it."""

    host: str
    pid: int
    born: str  # start time of the process, in the kernel's ticks, or "" where it is not told
    job: str = ""
    restart: int = 0
    boot: str = ""
    space: str = ""

    def text(self, dealt: Dealt = NOTHING) -> str:
        who = f"mpifarm host={self.host} pid={self.pid} born={self.born} boot={self.boot} space={self.space}"
        return f"{who} job={self.job} restart={self.restart} {dealt.words()}\n"

    def __str__(self) -> str:
        job = f", Slurm job {self.job} (restart {self.restart})" if self.job else ""
        return f"process {self.pid} on {self.host}{job}"

    def unobservable(self) -> Holder:
        """Return the same, told so that nobody takes it for dead; the words keep their length."""
        return replace(self, boot="?" * len(self.boot), space="?" * len(self.space))

    def fate(self, seen_by: Holder) -> Fate:
        """Return what *seen_by*, this process, can observe of it."""
        told = self.boot and self.space and self.born
        if not told or (self.boot, self.space) != (seen_by.boot, seen_by.space):
            return Fate.UNKNOWN
        born = _born(self.pid)
        if born is None:
            return Fate.UNKNOWN
        return Fate.ALIVE if born == self.born else Fate.DEAD


def this_process(job: str = "", restart: int = 0) -> Holder:
    """Return what the lock file of this process says: in Slurm, with its job's id and how often that was requeued."""
    pid = os.getpid()
    return Holder(socket.gethostname(), pid, _born(pid) or "", job, restart, _boot(), _space())


def parse_holder(text: str) -> Holder | None:
    """Return whom the words of a lock name; None if they are not a lock's."""
    words = dict(word.split("=", 1) for word in text.split() if "=" in word)
    try:
        named = words["host"], int(words["pid"]), words["born"], words["job"], int(words["restart"])
    except (KeyError, ValueError):
        return None
    return Holder(*named, words.get("boot", ""), words.get("space", ""))


def read_lock(path: Path) -> tuple[str, os.stat_result]:
    """Return what stands in a lock, nothing of what is no file: a pipe that somebody has put there would never end.

    It is opened, since NFS looks at the server then, and at what it remembers when it is asked for a status: nfs(5).
    """
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123
            status = os.fstat(file.fileno())
            return file.read(_LONGEST).decode(errors="replace") if stat.S_ISREG(status.st_mode) else "", status
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):
            raise
        return "", os.lstat(path)


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _space() -> str:
    """Return which namespaces count this process's number and birth; "" if /proc is another one's: pid_namespaces(7)."""
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            return ""
        kinds = [kind for kind in ("pid", "time") if kind in os.listdir("/proc/self/ns")]  # time came with Linux 5.6
        return ".".join(str(Path(f"/proc/self/ns/{kind}").stat().st_ino) for kind in kinds)
    except OSError:
        return ""


def _born(pid: int) -> str | None:
    """Return the start time of a process in ticks since boot: "" if there is no such process, None if nobody tells.

    Source: proc(5), /proc/pid/stat, fields 3 and 22. A killed rank stays a zombie until its launcher looks: it is "zombie".
    """
    try:
        os.kill(pid, 0)
        told = Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, OverflowError):  # no process can have such a number
        return ""
    except OSError:  # somebody else's, or gone meanwhile
        return None
    fields = told.rpartition(")")[2].split()
    return "zombie" if fields[0] in "ZX" else fields[19]
