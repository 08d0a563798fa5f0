"""What workers report of attempts, on its way to the journal: what was printed, how it ended, and what that counts.

The schedule alone says what an end means, one verdict for each attempt. A report of many that have all succeeded, as nearly
all are, goes to the journal as a whole, without a look at any of them; only where something is different each has its turn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mpifarm.ended import Ended
from mpifarm.journal.journal import Journal
from mpifarm.journal.lines import Attempts
from mpifarm.journal.spool import Spool
from mpifarm.ranks.alarm import Alarm
from mpifarm.ranks.custody import Custody
from mpifarm.ranks.deadline import Deadline
from mpifarm.ranks.interruptions import Interruptions
from mpifarm.ranks.notices import Notices
from mpifarm.ranks.pace import Pace
from mpifarm.ranks.wire import Report
from mpifarm.ranks.witness import Witness
from mpifarm.schedule.answers import Verdict
from mpifarm.schedule.schedule import Schedule
from mpifarm.words import counted

_NOTHING = memoryview(b"")


class Reports:
    """Attempts of all workers, and the outputs of which the end has not come yet."""

    def __init__(
        self,
        schedule: Schedule,
        custody: Custody,
        journal: Journal,
        deadline: Deadline,
        notices: Notices,
        pace: Pace,
        witness: Witness,
    ) -> None:
        self._schedule = schedule
        self._custody = custody
        self._journal = journal
        self._interruptions = Interruptions(journal, deadline)
        self._notices = notices
        self._pace = pace
        self._witness = witness
        self._alarm = Alarm(schedule, custody, notices)
        self._spools: dict[tuple[int, int], Spool] = {}  # by rank and lane

    def keep(self, rank: int, report: Report) -> None:
        """Keep the part of an output that *report* brings, until its attempt has ended."""
        key = (rank, report.lane)
        try:
            self._spools.setdefault(key, Spool()).append(report.output)
        except OSError as error:
            self._custody.stop(f"no place to keep the output of a task: {error} (set TMPDIR)")

    def forget(self, rank: int) -> None:
        """A worker is lost: forget what its tasks had begun to print."""
        for key in [key for key in self._spools if key[0] == rank]:
            self._spools.pop(key).close()

    def finish(self) -> None:
        """Nothing more will be reported."""
        self._interruptions.finish()

    def ended(self, rank: int, report: Report, now: float) -> None:
        """Attempts have ended: ask what they count, and record them."""
        ended = report.ended
        flags = ended["flags"]
        offsets = ended["offset"].tolist()
        bad = interrupted = [False] * len(offsets)
        if np.count_nonzero(ended["status"]) or np.count_nonzero(flags):  # any() takes five times as long for a few
            interrupted = ((flags & Ended.INTERRUPTED) != 0).tolist()
            bad = ((ended["status"] != 0) | (flags != 0) & (flags != Ended.CLIPPED)).tolist()
        ends = self._schedule.attempts_ended(rank, offsets, ended["attempt"].tolist(), bad, interrupted, now)
        commands = self._custody.commands(offsets, ends.lengths)
        told = Attempts(self._schedule.node(rank), ended, ends.lengths, ends.seqs, commands)
        if not any(interrupted):
            self._pace.ended(report)
        begun = int(ended["out_total"][0]) - int(ended["out_bytes"][0])
        spool = self._take_spool((rank, report.lane), begun)
        all_well = ends.verdicts.count(Verdict.SUCCEEDED) == len(offsets)
        plain = all_well and not np.count_nonzero(ended["left"])
        if begun and spool is None and ends.verdicts[0] is Verdict.SUCCEEDED:
            self._custody.stop(f"{counted(begun, 'byte')} lost of what the task at offset {offsets[0]} has printed")
        elif begun or not plain or np.count_nonzero(ended["err_bytes"]):
            self._record_each(told, ends.verdicts, spool, report.output)
        else:
            self._journal.succeeded(told, None, report.output, _NOTHING)

    def _take_spool(self, key: tuple[int, int], begun: int) -> Spool | None:
        """Take what is kept of an attempt of which *begun* bytes came ahead of its end.

        Ends that come in between, of tasks that were given back, have begun nothing, and leave it where it is.
        """
        spool = self._spools.get(key)
        return self._spools.pop(key) if spool and spool.size == begun else None

    def _record_each(self, told: Attempts, verdicts: Sequence[Verdict], spool: Spool | None, output: memoryview) -> None:
        """Record attempts that have ended in different ways."""
        at = 0
        for number, (row, verdict) in enumerate(zip(told.ended, verdicts, strict=True)):
            middle = at + int(row["out_bytes"])
            out, err = output[at:middle], output[middle : middle + int(row["err_bytes"])]
            at = middle + len(err)
            if verdict is not Verdict.STALE:
                self._record(told.one(number), verdict, spool, out, err)
            elif spool:
                spool.close()
            spool = None  # it was the first one's

    def _record(self, one: Attempts, verdict: Verdict, spool: Spool | None, out: memoryview, err: memoryview) -> None:
        if verdict is Verdict.SUCCEEDED:
            self._journal.succeeded(one, spool, out, err)
            if one.ended["left"][0]:
                attempt = one.first()
                self._notices.left_behind(attempt, self._custody.place(attempt.seq))
            return
        if spool:
            spool.close()
        attempt = one.first()
        if verdict is not Verdict.INTERRUPTED:
            self._journal.failed(attempt, out, err, verdict is Verdict.FAILED_FOR_GOOD)
            self._witness.failed(attempt, err, verdict is Verdict.FAILED_FOR_GOOD)
            self._alarm.failed(attempt, err)
        elif not attempt.flags & Ended.NOT_STARTED:
            self._interruptions.record(attempt, out, err)
