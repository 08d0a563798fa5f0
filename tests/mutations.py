"""Deliberate bugs, put into a copy of mpifarm one at a time: the simulation, or a file of tests, has to find each of them.

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
    """A bug: in *module*, *right* becomes *wrong*."""

    name: str
    module: str
    right: str
    wrong: str
    hunted_by: str = "simulation"  # or another one; or the file of tests, where neither has a model of such a thing


MUTATIONS = [
    Mutation("drop the attempt check", "workers", "leased_as != attempt:", "False:"),
    Mutation("grant beyond the credit", "workers", "worker.limit = seen + credit", "worker.limit += credit"),
    Mutation(
        "grant after a stop", "schedule", "if self._stopping is None and not self._finished:", "if not self._finished:"
    ),
    Mutation(
        "grant after the end",
        "schedule",
        "if self._stopping is None and not self._finished:",
        "if self._stopping is None:",
        hunted_by="tests/schedule/test_schedule.py",
    ),
    Mutation(
        "give a rank's part of an output to any end",
        "reports",
        "spool and spool.size == begun",
        "spool",
        hunted_by="tests/ranks/test_reports.py",
    ),
    Mutation("leave a slot idle", "dealing", "        if count > 0:\n", "        if count > 1:\n"),
    Mutation("forget what a lost worker had", "judgement", "self._queue.put_back((", "tuple(("),
    Mutation("forget to retry", "judgement", "self._queue.retries.add(worker.node, task, history.failures, now)", "pass"),
    Mutation("charge an interruption", "judgement", "        if stopped:\n", "        if False:\n"),
    Mutation("deal poison for ever", "history", "if at_once and history.lost_in_turn >= LOST_LIMIT:", "if False:"),
    Mutation("never look for silent workers", "silence", "is_silent = rank and awake", "is_silent = False and awake"),
    Mutation(
        "take the manager's absence for the workers' silence",
        "silence",
        "return self._clock.turn(now, slept_s=self._counts_s)",
        "return now",
    ),
    Mutation(
        "take a worker's absence for rank 0's silence",
        "worker",
        "return self._clock.turn(now, slept_s=min(AWAY_S, self._beat_s))",
        "return now",
    ),
    Mutation(
        "beat only on the clock of being awake",
        "worker",
        "if now >= self._sent + self._beat_s:",
        "if self._awake(now) >= self._sent + self._beat_s:",
    ),
    Mutation(
        "exempt rank 0 from the bound of a stop",
        "silence",
        "awake > self._stop_by and",
        "rank and awake > self._stop_by and",
    ),
    Mutation(
        "let a second stop give more time",
        "silence",
        "min(self._stop_by, self.awake(now) + STOP_PATIENCE_S)",
        "self.awake(now) + STOP_PATIENCE_S",
    ),
    Mutation("try no node that is not fit", "quarantine", "if now >= self._nodes[node].try_at]", "if False]"),
    Mutation(
        "let the pauses of a trial grow for ever",
        "quarantine",
        "min(2 * known.pause_s, LONGEST_PAUSE_S)",
        "8 * known.pause_s",
    ),
    Mutation("miss that a sick node is well", "quarantine", "known.well = self._look = True", "pass"),
    Mutation(
        "charge what fails on probation",
        "judgement",
        "if self._quarantine.fitness(worker.node) is not Fitness.FIT:",
        "if self._quarantine.fitness(worker.node) is not Fitness.FIT and not history.let_off:",
    ),
    Mutation("blame who is lost in a stop", "schedule", "innocent or ending", "innocent"),
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
    Mutation("forget the deaths at a checkpoint", "custody", "left, suspects)", "left, [])"),
    Mutation("convict one of several that ran together", "suspects", "if dealt.alone and running and", "if running and"),
    Mutation("try the convicted again at once", "suspects", "if kept[offset][1])", "if False)"),
    Mutation("note what was dealt when it has left", "custody", "self._lock.note(dealt)", "pass"),
    Mutation(
        "let others run beside a suspect",
        "queue",
        "if self.lineup.alone:\n            self._accuse",
        "if False:\n            self._accuse",
    ),
    Mutation(
        "forget who has ended without a word", "acquisition", "        self._remember(text)\n        # ", "        # "
    ),
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
    Mutation("record before output", "blocks", "self._entries[0].end <= self.gone", "True"),
    Mutation("forget at a checkpoint what nobody has read", "custody", ", *self._journal.output.unread)", ",)"),
    Mutation("end before everything is read", "ending", " and not self._custody.waits:", ":"),
    Mutation(
        "wait for the reader of a farm that is to stop",
        "ending",
        "            self._custody.give_up()\n",
        "            pass\n",
    ),
    Mutation("take who is not heard for silent", "manager", "drained and not self.full", "drained"),
    Mutation(
        "be in a hurry with a reader in a drain",
        "ranks/patience",
        "stopping is None or stopping is How.DRAIN",
        "stopping is None",
    ),
    Mutation("forget the gaps before the last task done", "resume", "again = np.concatenate((again, gaps))", "pass"),
    Mutation("go on after a write that failed", "custody", "        self.stopped = True\n", ""),
    Mutation("believe zeros to be output", "progress", "reached > output.sound", "reached > output.size"),
    *(
        Mutation(name, module, right, wrong, hunted_by=f"tests/{place}/test_{Path(module).name}.py")
        for name, place, module, right, wrong in [
            ("never insist", "launcher", "launcher/patience", "elif self._interrupts >= 2:", "elif False:"),
            (
                "insist on a worker that has heard",
                "launcher",
                "launcher/patience",
                "word == Word.HEARD and self._works:",
                "False:",
            ),
            (
                "wait for MPI after a signal",
                "launcher",
                "launcher/patience",
                "            if not self._started:\n",
                "            if False:\n",
            ),
            ("spare what was adopted", "launcher", "guardian", "processes.kill_these(self._adopted)", "pass"),
            ("wait for a helper without end", "launcher", "launcher", "if handle.busy and now > ", "if False and now > "),
            ("keep the deadline of an old stop", "launcher", "launcher", "self._end_by = math.inf  # all", "pass  # all"),
            (
                "die of an error of receiving",
                "ranks",
                "comm",
                "                self._complain(error)\n",
                "                raise\n",
            ),
            ("keep a signal from the poll", "ranks", "signals", 'os.write(self._wakeup, b"!")', "pass"),
        ]
    ),
    Mutation(
        "take the first line of squeue",
        "slurm",
        ' and (line[0] == job_id or line[1].startswith(f"{job_id}+"))]',
        "][:1]",
        hunted_by="tests/site/test_slurm.py",
    ),
    Mutation(
        "believe the older end of the job",
        "slurm",
        "    return newest, told\n",
        "    return older or newest, told\n",
        hunted_by="tests/site/test_slurm.py",
    ),
    Mutation(
        "no KILL before the end of the job",
        "deadline",
        "(end - kill_s, How.KILL_NOW,",
        "(end + 5, How.KILL_NOW,",
        hunted_by="tests/ranks/test_deadline.py",
    ),
    Mutation(
        "kill at the time of a suspended job's old end",
        "deadline",
        "(moment + away_s, how, why)",
        "(moment, how, why)",
        hunted_by="tests/ranks/test_deadline.py",
    ),
    Mutation(
        "call two hosts by one name",
        "hosts",
        "return host if any(",
        "return node if any(",
        hunted_by="tests/site/test_hosts.py",
    ),
    Mutation(
        "be refused without a word",
        "config",
        "    if not (by_srun or by_mpich) or (",
        "    if False and (",
        hunted_by="tests/test_config.py",
    ),
    Mutation(
        "let a doubtful end hold its slot", "workers", " + self.doubted\n", "\n", hunted_by="tests/schedule/test_dealing.py"
    ),
    Mutation(
        "charge what the job's own signal has ended",
        "doubt",
        "(-number, 128 + number)",
        "(-number,)",
        hunted_by="tests/ranks/test_doubt.py",
    ),
    Mutation(
        "start at once what lies elsewhere",
        "programs",
        "if self._mounts.place(path) is not Place.HERE:",
        "if False:",
        hunted_by="tests/launcher/test_programs.py",
    ),
    Mutation(
        "forget the interpreter of a script",
        "programs",
        "return script[1]",
        'return b""',
        hunted_by="tests/launcher/test_programs.py",
    ),
    Mutation(
        "look at what is there before at what is mounted",
        "mounts",
        "            if there in self._foreign:\n",
        "            if os.lstat(there) and there in self._foreign:\n",
        hunted_by="tests/site/test_mounts.py",
    ),
    Mutation(
        "miss what is mounted in mid-run",
        "mounts",
        "and self._changed.poll(0):",
        "and False:",
        hunted_by="tests/site/test_mounts.py",
    ),
    Mutation(
        "let a timeout count the time asleep",
        "helper",
        "self._awake.turn(time.monotonic(), wait_s)",
        "time.monotonic()",
        hunted_by="tests/launcher/test_termination.py",
    ),
    Mutation(
        "fill up with zeros what cannot be read",
        "capture",
        "    if len(part) < size:\n",
        '    part = part.ljust(size, b"\\0")\n    if False:\n',
        hunted_by="tests/launcher/test_outbox.py",
    ),
    Mutation("checkpoint before the sync", "journal", "        self._sync()\n        for", "        for"),
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
        "append wherever the file ends",
        "appender",
        "            self._check_size(size)\n        except",
        "        except",
        "simlock",
    ),
    Mutation(
        "read the covered lines, too", "progress", "_lines(path, start.progress, between)", "_lines(path, 0, between)"
    ),
    Mutation(
        "believe the joblog of another program",
        "attempts",
        "if end and file.readline() != JOBLOG_HEADER:",
        "if end and not file.readline():",
        hunted_by="tests/view/test_attempts.py",
    ),
    Mutation(
        "read a number that is none",
        "attempts",
        "right &= ~there | (character <= 9)",
        "right &= ~there | (character <= 255)",
        hunted_by="tests/view/test_attempts.py",
    ),
    Mutation(
        "count what was stopped with the farm as failed",
        "account",
        "kinds[bad] = Kind.STOPPED if book.exists else Kind.FAILED",
        "kinds[bad] = Kind.FAILED",
        hunted_by="tests/view/test_account.py",
    ),
    Mutation(
        "count tasks that are not in the list any more",
        "account",
        "kinds[~known] = Kind.HISTORY",
        "kinds[~known] = kinds[~known]",
        hunted_by="tests/view/test_account.py",
    ),
    Mutation(
        "let what others have written be run in a page",
        "page",
        "autoescape=True",
        "autoescape=False",
        hunted_by="tests/view/test_report.py",
    ),
    Mutation(
        "show control characters",
        "units",
        "letter if letter.isprintable() else",
        "letter if True else",
        hunted_by="tests/view/test_report.py",
    ),
    Mutation(
        "write a report over the list",
        "report",
        "name.samefile(other)",
        "False",
        hunted_by="tests/view/test_report.py",
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
    """Return the seed or the test that caught *mutation*, and how; nothing if none of *seeds* seeds, or no test, does."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "mpifarm"
        shutil.copytree(HERE.parent / "mpifarm", copy, ignore=shutil.ignore_patterns("__pycache__"))
        source(copy, mutation).write_text(mutated(mutation))
        environ = {**os.environ, "PYTHONPATH": f"{scratch}{os.pathsep}{HERE}", "PYTHONDONTWRITEBYTECODE": "1"}
        if mutation.hunted_by.endswith(".py"):
            return _hunt_by_test(mutation, scratch, environ)
        command = [sys.executable, "-c", _HUNT, str(seeds), mutation.hunted_by]
        found = subprocess.run(command, cwd=scratch, env=environ, capture_output=True, text=True, check=False)
    assert not found.returncode, found.stderr
    return found.stdout.strip()


def _hunt_by_test(mutation: Mutation, scratch: str, environ: dict[str, str]) -> str:
    command = [sys.executable, "-m", "pytest", "-qx", "--all", "-p", "no:cacheprovider", f"--basetemp={scratch}/tests"]
    command.append(str(HERE.parent / mutation.hunted_by))
    found = subprocess.run(command, cwd=scratch, env=environ, capture_output=True, text=True, check=False)
    assert found.returncode in (0, 1), found.stdout
    failed = [line.partition("::")[2] for line in found.stdout.splitlines() if line.startswith("FAILED")]
    return failed[0][:80] if failed else ""


def main() -> int:
    """Print the table; fail if a bug was not caught."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        caught = list(pool.map(hunt, MUTATIONS))
    for mutation, how in zip(MUTATIONS, caught, strict=True):
        hunter = mutation.hunted_by if mutation.hunted_by.endswith(".py") else f"{SEEDS} seeds"
        print(f"{mutation.name:<45} {mutation.module:<9} {how or f'NOT CAUGHT by {hunter}'}")
    return 0 if all(caught) else 1


if __name__ == "__main__":
    sys.exit(main())
