"""The network of the simulation: messages take their time, those of different ranks in any order, and some come twice.

It keeps its own account of what the workers have asked for, and holds the manager to it.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Iterator
from math import inf
from typing import NoReturn

from mpifarm.ranks import wire
from mpifarm.ranks.comm import Received
from mpifarm.ranks.wire import Message, Tag

_CREDIT_BYTES = 16  # of the header of a REPORT: seen, credit and doubted; behind them the number of records
_DELAYS_S = (0.0, 0.001, 0.01, 0.1, 1.0)
_ECHO_S = 100.0  # how late a duplicate may come


class Network:
    """Messages on their way: those of one rank to another keep their order, and no others do."""

    rank = 0
    backlog = 0
    remote = True

    def __init__(self, random: random.Random, now: Callable[[], float], size: int, dealt: Counter[int]) -> None:
        """*dealt* counts how often each task was dealt."""
        self._random = random
        self._now = now
        self.size = size
        self.stopping: Callable[[], bool] = lambda: False  # whether the manager has said that it deals no more
        self._ways: dict[int, dict[int, deque[tuple[float, Tag, Message]]]] = {}  # by target and source
        self._first: dict[int, float] = {}  # by target: when the next message arrives there
        self.moved = 0  # messages that rank 0 has got or sent, heartbeats aside
        self._echoes: list[tuple[float, int, Message]] = []
        self._asked: dict[int, int] = {}  # by rank: the most tasks since its HELLO that it could take, as it has said
        self._credit: dict[int, Message] = {}  # by rank: what its last REPORT said about that
        self._granted: dict[int, int] = {}
        self._dealt = dealt

    def put(self, source: int, target: int, tag: Tag, message: Message) -> None:
        way = self._ways.setdefault(target, {}).setdefault(source, deque())
        at = max(self._now() + self._random.choice(_DELAYS_S), way[-1][0] if way else 0.0)
        way.append((at, tag, message))
        self._first[target] = min(self._first.get(target, at), at)
        if tag is Tag.REPORT and message[_CREDIT_BYTES : _CREDIT_BYTES + 4].any() and self._random.random() < 0.03:
            # MPI has no duplicates; the records must bear them all the same
            self._echoes.append((at + self._random.uniform(0.0, _ECHO_S), source, message))

    def send(self, rank: int, tag: Tag, message: Message) -> None:
        """The manager sends something."""
        self.moved += tag is not Tag.BEAT
        if tag is Tag.GRANT:
            granted = wire.unpack_grant(message)
            self._granted[rank] += granted.size
            self._dealt.update(granted["offset"].tolist())
            assert self._granted[rank] <= self._asked[rank], "leases exceed credit"
            assert not self.stopping(), "granted after a stop"
        self.put(0, rank, tag, message)

    def deliver(self, target: int, own: bool = False) -> list[Received]:
        """Take what has arrived at a rank; only what it has sent itself, if *own*."""
        now = self._now()
        if self._first.get(target, inf) > now:
            return [*self._repeated()] if target == 0 and not own else []
        theirs = self._ways.get(target, {})
        sources = theirs.keys() & {target} if own else theirs.keys()
        ways = [(source, theirs[source]) for source in sources if theirs[source] and theirs[source][0][0] <= now]
        self._random.shuffle(ways)
        ordered: list[Received] = []
        for source, way in ways:
            while way and way[0][0] <= now:
                _, tag, message = way.popleft()
                ordered.append(Received(source, tag, message))
        self._first[target] = min((way[0][0] for way in self._ways[target].values() if way), default=inf)
        if target:
            return ordered
        taken = [*map(self._taken, ordered)]  # first: an echo comes after its call, and knows of what came before it
        return taken if own else [*taken, *self._repeated()]

    def _taken(self, received: Received) -> Received:
        """Note what a worker has asked for, as the manager learns of it."""
        rank = received.source
        self.moved += received.tag is not Tag.BEAT
        if received.tag is Tag.HELLO:
            self._asked[rank] = self._granted[rank] = 0
        elif received.tag is Tag.REPORT:
            report = wire.unpack_report(received.message)
            self._asked[rank] = max(self._asked.get(rank, 0), report.seen + report.credit)
            self._credit[rank] = received.message[:_CREDIT_BYTES]
        return received

    def _repeated(self) -> Iterator[Received]:
        """Yield the duplicates that are due: the same records once more, with credit as it is now."""
        if not self._echoes:
            return
        due = [echo for echo in self._echoes if echo[0] <= self._now() and echo[1] in self._credit]
        self._echoes = [echo for echo in self._echoes if echo not in due] if due else self._echoes
        for _, source, message in due:
            echo = message.copy()
            echo[:_CREDIT_BYTES] = self._credit[source]
            self.moved += 1
            yield Received(source, Tag.REPORT, echo)

    def next_arrival(self, targets: set[int]) -> float:
        return min((self._first[target] for target in targets if target in self._first), default=inf)

    def node_mates(self, node: str, host: str, works: bool) -> tuple[int, int, str]:
        return 0, 1, node

    def poll(self) -> Iterator[Received]:
        return iter(())

    def own(self) -> Iterator[Received]:
        return iter(())

    def take_lost(self) -> set[int]:
        return set()

    def leave(self, code: int, complete: bool) -> NoReturn:
        raise AssertionError

    def abort(self, code: int) -> NoReturn:
        raise AssertionError
