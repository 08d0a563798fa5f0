"""A manager as it is, and ranks that each play hundreds of nodes whose tasks end at once: the program of `dealing`.

    mpiexec -n 2 python crowd.py farm NODES SLOTS RESULT [options of mpifarm] TASKLIST
    mpiexec -n 2 python crowd.py burst NODES SLOTS RESULT ...
    mpiexec -n 2 python crowd.py blind NODES SLOTS RESULT ...
    mpiexec -n 2 python crowd.py echo NODES SLOTS RESULT TASKS

Rank 0 runs `farm.run`, nothing in it replaced but the ranks that it sees: there is one for each node, and a message says
behind its end which one it is from or for (4 bytes). So the schedule has its 3,000 workers, and every message is one of
MPI. The other ranks answer a GRANT by a REPORT with all of its tasks, made by numpy as a whole: the worker and the launcher
of one node serve a thousand tasks a second, and whoever plays 300 of them must not be slower than the manager that is
measured. In `blind` rank 0 sees nothing of its run: no status file, no lines, no estimate. In `burst` they hold back until
all their slots are taken, then report all of it at once. In `echo` rank 0 answers every REPORT with a GRANT of the same
size and does nothing else.

RESULT.json gets what rank 0 has measured, RESULT.nodes.json what rank 1 has.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from mpifarm import config, options
from mpifarm.launcher.frames import Killed
from mpifarm.launcher.launcher import fork_helpers
from mpifarm.ranks import comm, farm, wire
from mpifarm.ranks.backoff import Backoff
from mpifarm.ranks.comm import Comm, Received
from mpifarm.ranks.notices import Notices
from mpifarm.ranks.pace import Pace
from mpifarm.ranks.wire import Message, Note, Stop, Tag
from mpifarm.ranks.witness import Witness
from mpifarm.site.offer import Offer

_NODE = np.dtype("<i4")
_SHORTEST_WAIT_S = 0.0002  # who waits for a grant must not be what is measured


class Crowd:
    """Ranks 1 to *nodes*, each of them played by one of the ranks of *comm*. A transport."""

    rank = 0
    remote = True

    def __init__(self, comm: Comm, nodes: int, result: Path) -> None:
        self._comm = comm
        self._result = result
        self._began: tuple[float, float] | None = None  # wall, CPU: when the first tasks ended
        self.size = 1 + nodes

    @property
    def backlog(self) -> int:
        """See Comm."""
        return self._comm.backlog

    def node_mates(self, node: str, host: str, works: bool) -> tuple[int, int, str]:
        """Rank 0 does not work, so nobody asks where it is."""
        return 0, 1, node

    def send(self, rank: int, tag: Tag, message: Message) -> None:
        """Send to a node."""
        self._comm.send(player_of(rank, self._comm.size), tag, addressed(message, rank))

    def poll(self) -> Iterator[Received]:
        """Yield what has arrived from nodes."""
        for received in self._comm.poll():
            node, message = opened(received)
            if self._began is None and message.size > wire.REPORT_BYTES:
                self._began = time.monotonic(), time.process_time()
            yield Received(node, received.tag, message)

    def take_lost(self) -> set[int]:
        """Nobody is lost."""
        return set()

    def leave(self, code: int, complete: bool) -> NoReturn:
        """Write down what it has cost, and end."""
        assert self._began is not None
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        wall_s, cpu_s = time.monotonic() - self._began[0], time.process_time() - self._began[1]
        self._result.write_text(json.dumps({"wall_s": wall_s, "cpu_s": cpu_s, "peak_mib": peak_mib}))
        self._comm.leave(code, complete)

    def abort(self, code: int) -> NoReturn:
        """See Comm."""
        self._comm.abort(code)


class Players:
    """The nodes that one rank plays."""

    def __init__(self, comm: Comm, nodes: range, slots: int, burst: Callable[[], bool] | None) -> None:
        """*burst* says whether the first ends are in the files; None: what is granted ends at once."""
        self._comm = comm
        self._slots = slots
        self._seen = dict.fromkeys(nodes, 0)
        self._held: list[tuple[int, Message]] | None = [] if burst else None
        self._recorded = burst
        self._burst_at = 0.0
        self.burst_s: float | None = None

    def play(self) -> None:
        """Work until all have been told to go."""
        for node in self._seen:
            self._send(node, Tag.HELLO, wire.pack_hello(Offer(self._slots, self._slots, self._slots, f"n{node:05d}")))
            self._send(node, Tag.REPORT, wire.pack_report(0, self._slots))
        present = set(self._seen)
        backoff = Backoff(time.monotonic(), _SHORTEST_WAIT_S)
        while present:
            now = time.monotonic()
            active = False
            for received in self._comm.poll():
                active = True
                backoff.reset(now)
                node, message = opened(received)
                if received.tag is Tag.GRANT:
                    self._end(node, wire.unpack_grant(message))
                elif received.tag is Tag.STOP and wire.unpack_stop(message) is Stop.LEAVE:
                    self._send(node, Tag.REPORT, wire.pack_report(self._seen[node], 0, Note.LEFT, body=Killed().packed()))
                elif received.tag is Tag.STOP:
                    present.discard(node)
            self._go_on()
            if not active:
                time.sleep(backoff.wait_s(now))

    def _end(self, node: int, granted: wire.Records) -> None:
        self._seen[node] += granted.size
        ended = blank(granted.size).copy()
        ended["offset"], ended["attempt"] = granted["offset"], granted["attempt"]
        report = wire.pack_report(self._seen[node], self._slots, wire.NO_NOTE, 0, granted.size, ended.tobytes())
        if self._held is None:
            self._send(node, Tag.REPORT, report)
        else:
            self._held.append((node, report))

    def _go_on(self) -> None:
        """Let the burst go when all slots are taken; look at the time when they are taken again and all is recorded."""
        taken = sum(self._seen.values())
        all_slots = self._slots * len(self._seen)
        if self._held is not None and not self._burst_at and taken == all_slots:
            held, self._held = self._held, []
            self._burst_at = time.monotonic()
            for node, report in held:
                self._send(node, Tag.REPORT, report)
        elif self._held is not None and taken == 2 * all_slots and self._recorded and self._recorded():
            self.burst_s = time.monotonic() - self._burst_at
            held, self._held = self._held, None
            for node, report in held:
                self._send(node, Tag.REPORT, report)

    def _send(self, node: int, tag: Tag, message: Message) -> None:
        self._comm.send(0, tag, addressed(message, node))


@cache
def blank(count: int) -> wire.Records:
    """Return *count* ENDED that lack only offset and attempt."""
    ended = np.zeros(count, dtype=wire.ENDED)
    ended["slot"] = np.arange(1, 1 + count)
    ended["start"], ended["seconds"], ended["rss_kib"] = time.time(), 0.001, 1824
    return ended


def player_of(node: int, size: int) -> int:
    """Return which of *size* ranks plays *node*."""
    return 1 + (node - 1) % (size - 1)


def addressed(message: Message, node: int) -> Message:
    """Return *message* with the node that it is from, or for, at its end."""
    return np.concatenate((message, np.array([node], dtype=_NODE).view(np.uint8)))


def opened(received: Received) -> tuple[int, Message]:
    """Return the node and the message proper."""
    message = received.message
    return int(message[-_NODE.itemsize :].view(_NODE)[0]), message[: -_NODE.itemsize]


def echo(crowd: Crowd, tasks: int) -> NoReturn:
    """Answer every REPORT with a GRANT of as many tasks as it asks for, until *tasks* have ended, and do nothing else."""
    nodes = range(1, crowd.size)
    grants: dict[int, Message] = {}
    ended = left = 0
    while left < len(nodes):
        for received in crowd.poll():
            if received.tag is not Tag.REPORT:
                continue
            report = wire.unpack_report(received.message)
            left += bool(report.notes & Note.LEFT)
            done = ended >= tasks
            ended += report.ended.size
            if ended < tasks:
                none = np.zeros(report.credit)
                grants.setdefault(report.credit, wire.pack_grant(none, none, none, none))
                crowd.send(received.source, Tag.GRANT, grants[report.credit])
            elif not done:
                _tell(crowd, nodes, Stop.LEAVE)
    _tell(crowd, nodes, Stop.FINALIZE)
    while crowd.backlog:
        list(crowd.poll())
    crowd.leave(0, complete=True)


def _tell(crowd: Crowd, nodes: range, how: Stop) -> None:
    for node in nodes:
        crowd.send(node, Tag.STOP, wire.pack_stop(how))


def _blind() -> None:
    """Take from rank 0 all that looks at the run while it goes on, and counts for nothing but that."""
    for owner, names in ((Witness, ("recorded", "turn")), (Pace, ("ended",)), (Notices, ("status",))):
        for name in names:
            setattr(owner, name, lambda *_: None)


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def main() -> int:
    """Be rank 0, or play."""
    kind, nodes, slots, result, *arguments = sys.argv[1:]
    count = int(nodes)
    if kind == "echo":
        transport = comm.connect(2, lambda _vendor, _version: None, "")
        if not transport.rank:
            echo(Crowd(transport, count, Path(f"{result}.json")), int(arguments[0]))
        burst = None
    else:
        settings, _ = config.read(options.parser().parse_args(arguments))
        if config.is_first():
            connect = comm.connect
            if kind == "blind":
                _blind()
            vars(farm)["connect"] = lambda *told: Crowd(connect(*told), count, Path(f"{result}.json"))
            return farm.run(settings, fork_helpers(1, {}))  # of rank 0: nothing is run in it
        transport = comm.connect(2, lambda _vendor, _version: None, "")
        progress = Path(f"progress.{Path(settings.tasklist).name}.tfin")
        burst = (lambda: _lines(progress) >= count * int(slots)) if kind == "burst" else None
    mine = [node for node in range(1, 1 + count) if player_of(node, transport.size) == transport.rank]
    players = Players(transport, range(mine[0], mine[-1] + 1, transport.size - 1), int(slots), burst)
    players.play()
    found: dict[str, Any] = {"burst_s": players.burst_s}
    if transport.rank == 1:
        Path(f"{result}.nodes.json").write_text(json.dumps(found))
    transport.leave(0, complete=True)


if __name__ == "__main__":
    sys.exit(main())
