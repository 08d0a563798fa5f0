"""Why tasks failed, a line for each reason: by how they ended and the last line of their standard error, digits taken out.

So 211 names of files make one reason. What they ended with and what they said stands in the log; without one, the joblog's
exit code or signal has to do. Each reason has the last of its attempts as an example.
"""

from __future__ import annotations

from dataclasses import dataclass

from mpifarm.journal.lines import how_ended
from mpifarm.texts import gist
from mpifarm.view.account import Account, Kind, State


@dataclass(slots=True)
class Reason:
    """One reason why attempts failed."""

    how: str  # exit code 1, killed by SIGKILL, timed out, not started
    gist: str  # the last line of standard error, digits taken out; empty if nothing was said
    attempts: int = 0
    tasks: int = 0  # that have not succeeded since
    example: int = -1  # place of an attempt
    peak_kib: int = 0  # largest memory of one


def grouped(account: Account) -> list[Reason]:
    """Return the reasons, those that have most tasks first."""
    rows = account.attempts.rows
    last_of_failed = set(account.last[account.states == State.FAILED].tolist())
    found: dict[tuple[str, str], Reason] = {}
    known: dict[tuple[str, str], Reason] = {}  # before the digits are taken out
    for place in account.of(Kind.FAILED).nonzero()[0].tolist():
        failure = account.failures.get(place)
        row = rows[place]
        said = (failure.reason, failure.last) if failure else (how_ended(int(row["exit"]), int(row["signal"])), "")
        reason = known.get(said)
        if reason is None:
            words = said[0], gist(said[1])
            reason = known[said] = found.setdefault(words, Reason(*words))
        reason.attempts += 1
        reason.peak_kib = max(reason.peak_kib, int(row["rss_kib"]))
        if place in last_of_failed:
            reason.tasks += 1
            reason.example = place
        elif not reason.tasks:
            reason.example = place
    return sorted(found.values(), key=lambda reason: (-reason.tasks, -reason.attempts, reason.how, reason.gist))
