"""Deliberate bugs, put into a copy of mpifarm one at a time: the simulation has to find each of them.

To see the table, with the seed that caught each: python tests/mutations.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SEEDS = int(os.environ.get("MPIFARM_MUTATION_SEEDS", "2000"))  # that a bug may outlive at most

_HUNT = """
import importlib, sys
simulation = importlib.import_module(sys.argv[2])
for seed in range(int(sys.argv[1])):
    try:
        simulation.run(seed)
    except Exception as error:
        print(seed, type(error).__name__, str(error).split(chr(10))[0][:80])
        break
"""


@dataclass(frozen=True)
class Mutation:
    """A bug: in *module*, *right* becomes *wrong*; *hunter* is the simulation that has to find it."""

    name: str
    module: str
    right: str
    wrong: str
    hunter: str = "simulation"


MUTATIONS = [
    Mutation("drop the attempt check", "workers", "leased_as != attempt:", "False:"),
    Mutation("grant beyond the credit", "workers", "worker.limit = seen + credit", "worker.limit += credit"),
    Mutation("grant after a stop", "schedule", "        if self._stopping is None:\n", "        if True:\n"),
    Mutation("leave a slot idle", "dealing", "        if count > 0:\n", "        if count > 1:\n"),
    Mutation("forget what a lost worker had", "judgement", "self._queue.put_back((", "tuple(("),
    Mutation("forget to retry", "judgement", "self._queue.retries.add(worker.node, task, history.failures, now)", "pass"),
    Mutation("charge an interruption", "judgement", "        if stopped:\n", "        if False:\n"),
    Mutation("deal poison for ever", "history", "if at_once and history.lost_in_turn >= LOST_LIMIT:", "if False:"),
    Mutation("never look for silent workers", "silence", "if too_long and rank:", "if False:"),
    Mutation("take what runs for done", "schedule", "return sorted((*leased, ", "return sorted(("),
    Mutation("retry without a pause", "retries", "PAUSES_S = (1.0, 10.0)", "PAUSES_S = (0.0, 0.0)"),
    Mutation("retry at once while others run", "retries", "now, not busy\n", "now, True\n"),
    Mutation(
        "deal suspects first",
        "queue",
        "self.lineup = Lineup(suspects)",
        "self.lineup = Lineup(())\n        self._front.extendleft(one.task for one in suspects if not one.convicted)",
    ),
    Mutation(
        "let suspects share a worker", "queue", "if self._isolated and not self._accused(worker):", "if self._isolated:"
    ),
    Mutation("forget the deaths at a checkpoint", "custody", "unfinished, suspects)", "unfinished, [])"),
    Mutation("convict one of several that ran together", "suspects", "if dealt.alone and running and", "if running and"),
    Mutation("try the convicted again at once", "suspects", "if kept[offset][1])", "if False)"),
    Mutation("note what was dealt when it has left", "custody", "self._lock.note(dealt)", "pass"),
    Mutation("let others run beside a suspect", "queue", "        if self.lineup.alone:\n", "        if False:\n"),
    Mutation("forget who has ended without a word", "lock", "        self._remember(text)\n        # ", "        # "),
    Mutation("skip the fdatasync", "appender", "                _fdatasync(self._descriptor)\n", "                pass\n"),
    Mutation("rename without fsync", "files", "    os.fsync(descriptor)\n    prove()", "    prove()"),
    Mutation(
        "write a replacement in place",
        "files",
        "create(new, prove) as file:\n            file.write(content)\n            file.flush()\n"
        "            put_in_place(file.fileno(), path, prove)",
        "path.open('wb', 0) as file:\n            os.write(file.fileno(), content)\n            os.fsync(file.fileno())",
    ),
    Mutation("do not cut the output", "journal", "        warrant.judge(output, start.output_bytes)\n", "        pass\n"),
    Mutation("do not cut a torn line", "journal", "    warrant.judge(names.progress, start.progress_bytes)\n", ""),
    Mutation(
        "record before output",
        "journal",
        "        self._write_output(waiting)\n",
        "        self._progress.append(self._lines[self._progress])\n        self._lines[self._progress].clear()\n"
        "        self._write_output(waiting)\n",
    ),
    Mutation("checkpoint before the sync", "journal", "        self._sync()\n        for", "        for"),
    Mutation("forget the gaps before the last task done", "resume", "again = np.concatenate((again, gaps))", "pass"),
    Mutation("go on after a write that failed", "custody", "        self.stopped = True\n", ""),
    Mutation("believe zeros to be output", "progress", "reached > output.sound", "reached > output.size"),
    Mutation(
        "believe an equal host name",
        "holder",
        "(self.boot, self.space) != (seen_by.boot, seen_by.space)",
        "self.host != seen_by.host",
        "simlock",
    ),
    Mutation("write without asking the lock", "warrant", "self._lock.prove()", "pass", "simlock"),
    Mutation("rob who touches his lock", "watch", "touched = self._seen not in (None, seen)", "touched = False", "simlock"),
    Mutation(
        "write done without looking at the size",
        "journal",
        "            appender.check()\n",
        "            pass\n",
        "simlock",
    ),
    Mutation(
        "append wherever the file ends", "appender", "            self._check_size()  # or", "            # or", "simlock"
    ),
    Mutation(
        "read the covered lines, too", "progress", "_lines(path, start.progress, between)", "_lines(path, 0, between)"
    ),
]


def source(package: Path, mutation: Mutation) -> Path:
    """Return the file of its module, in whatever wing that is."""
    (found,) = package.rglob(f"{mutation.module}.py")
    return found


def mutated(mutation: Mutation) -> str:
    """Return the source of the module with the bug in it."""
    text = source(HERE.parent / "mpifarm", mutation).read_text()
    assert text.count(mutation.right) == 1, f"{mutation.name}: {mutation.right!r} is not in {mutation.module} once"
    return text.replace(mutation.right, mutation.wrong)


def hunt(mutation: Mutation, seeds: int = SEEDS) -> str:
    """Return the seed that caught *mutation*, and how; nothing if none of *seeds* seeds does."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "mpifarm"
        shutil.copytree(HERE.parent / "mpifarm", copy, ignore=shutil.ignore_patterns("__pycache__"))
        source(copy, mutation).write_text(mutated(mutation))
        environ = {**os.environ, "PYTHONPATH": f"{scratch}{os.pathsep}{HERE}", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-c", _HUNT, str(seeds), mutation.hunter]
        found = subprocess.run(command, cwd=scratch, env=environ, capture_output=True, text=True, check=False)
    assert not found.returncode, found.stderr
    return found.stdout.strip()


def main() -> int:
    """Print the table; fail if a bug was not caught."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        caught = list(pool.map(hunt, MUTATIONS))
    for mutation, how in zip(MUTATIONS, caught, strict=True):
        print(f"{mutation.name:<45} {mutation.module:<9} {how or f'NOT CAUGHT by {SEEDS} seeds'}")
    return 0 if all(caught) else 1


if __name__ == "__main__":
    sys.exit(main())
