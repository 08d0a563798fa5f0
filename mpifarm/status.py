"""What people see of a run while it runs: one line on standard error now and then."""

from __future__ import annotations

from pathlib import Path

from mpifarm.schedule import Counts, Outcome

EVERY_S = 5.0


def line(counts: Counts, total: int, done_before: int, slots: int, elapsed_s: float) -> str:
    """Return how far a run is: of *total* tasks, *done_before* were done by earlier runs."""
    done = done_before + counts.done
    words = [f"{done}/{total} done", f"{counts.leased} running or queued on {slots} slots"]
    if counts.failed:
        words.append(f"{counts.failed} failed")
    if counts.done and elapsed_s > 0:
        rate = counts.done / elapsed_s
        words.append(f"{rate:.1f}/s")
        if counts.waiting + counts.leased:
            words.append(f"about {duration((counts.waiting + counts.leased) / rate)} left")
    return ", ".join(words)


def verdict(outcome: Outcome, counts: Counts, total: int, done_before: int, elapsed_s: float, log: Path) -> str:
    """Return the last line of a run."""
    done = done_before + counts.done
    if outcome is Outcome.ALL_SUCCEEDED:
        return f"all {total} tasks are done, {counts.done} of them now, in {duration(elapsed_s)}"
    failed = f", {counts.failed} failed (see {log})" if counts.failed else ""
    again = "start again to go on" if outcome is Outcome.WORK_LEFT else "start again to try them again"
    return f"{done} of {total} tasks are done{failed}: {again}"


def duration(seconds: float) -> str:
    """Return a time as people say it: 45 s, 12 min, 3 h 20 min, 2 d 4 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"
