"""What a run has left, every byte of it cut off, zeroed and flipped; and random lists and journals by the million.

To fuzz: python tests/fuzz.py N [SEED] tries the N seeds from SEED on, two cases each; a seed that fails is named, and
`python tests/fuzz.py 1 SEED` replays it.
"""

from __future__ import annotations

import os
import random
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from fakes import AT_ONCE, FakeComm, ended_record, report, standard_output_to
from lists import at_will

from mpifarm import FarmError
from mpifarm.ended import Ended
from mpifarm.journal import fastrecovery, progress, resume
from mpifarm.journal.holder import this_process
from mpifarm.journal.names import Names
from mpifarm.journal.opening import Run, open_run
from mpifarm.journal.resume import Sources
from mpifarm.journal.tails import Extent
from mpifarm.ranks import wire
from mpifarm.ranks.comm import Received
from mpifarm.ranks.custody import CHECKPOINT_S
from mpifarm.ranks.manager import Manager
from mpifarm.ranks.wire import Tag
from mpifarm.settings import Config
from mpifarm.site.offer import Offer
from mpifarm.tasks import tfin
from mpifarm.tasks.scan import Scan
from mpifarm.tasks.tasklist import Tasklist
from mpifarm.tasks.walk import Walk

NAMES = Names(Path("tasks.txt.tfin"))
TFIN, PROGRESS, FASTRECOVERY, LOG, JOBLOG, DONE, LOCK, *_ = (str(path) for path in NAMES.all())
LIST, OUTPUT, OUTPUT_LOCK = Path("tasks.txt"), Path("all.out"), Path("lock.all.out")
TASKFARMER = Path(__file__).parent / "data" / "taskfarmer-killed"
DEAD = replace(this_process(), born="1").text()  # a process that had our number before
PREFIX = "fuzz-"  # of scratch directories
CHUNK = 1000  # seeds
OPEN_EVERY = 16  # seeds: to open the files costs ten times as much as to load them

Files = dict[str, bytes]


@contextmanager
def scratch() -> Iterator[None]:
    """Work in a directory in memory, if there is one, that is removed afterwards; what tasks write goes nowhere."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as directory:
        os.chdir(directory)
        try:
            with open(os.devnull, "w") as nowhere, standard_output_to(nowhere.fileno()):  # noqa: PTH123
                yield
        finally:
            os.chdir(before)


def lay(files: Files) -> None:
    """Let the working directory hold *files* and nothing else."""
    for name in os.listdir():
        if name not in files:
            os.unlink(name)
    for name, content in files.items():
        with open(name, "wb") as file:  # noqa: PTH123
            file.write(content)


def laid() -> Files:
    """Return what lies in the working directory."""
    files = {}
    for name in os.listdir():
        with open(name, "rb") as file:  # noqa: PTH123
            files[name] = file.read()
    return files


# samples


class Play:
    """A manager of one worker whose tasks end as they are told."""

    def __init__(self, output: bool) -> None:
        config = Config("tasks.txt", output=str(OUTPUT) if output else None, quiet=True)
        for lock in (NAMES.lock, OUTPUT_LOCK):
            if lock.exists():
                lock.write_text(DEAD)
        run = open_run(config, AT_ONCE)
        assert run.journal is not None
        self._comm, self._journal = FakeComm(2), run.journal
        self.manager = Manager(config, self._comm, run, run.journal, [1], 0.0)
        self._attempts: list[tuple[int, int]] = []
        self._say(Tag.HELLO, wire.pack_hello(Offer(99, 9, 9, "nid-1")))

    def deal(self, count: int) -> None:
        """Let *count* tasks be granted."""
        self._say(Tag.REPORT, report(len(self._attempts), count))
        for message in self._comm.take(Tag.GRANT):
            self._attempts += wire.unpack_grant(message.message)[["offset", "attempt"]].tolist()

    def end(self, number: int, status: int = 0, flags: int = 0) -> None:
        """Let the task that was granted as the *number*th, from 0, end."""
        offset, attempt = self._attempts[number]
        out = block(offset)
        record = ended_record(offset, attempt, status, flags, out=out, slot=number % 3 + 1, seconds=0.004 * number)
        self._say(Tag.REPORT, report(len(self._attempts), 0, record, written=out))

    def kill(self) -> None:
        """Let the kernel close its files; all that has ended was written in the same turn."""
        self._journal.close()

    def _say(self, tag: Tag, message: wire.Message) -> None:
        self.manager.on_message(Received(1, tag, message), 0.0)
        self.manager.turn(0.0)


def block(offset: int) -> bytes:
    """Return what the task at *offset* writes: some write nothing."""
    return (b"<%d>" % offset) * (offset // 7 % 3)


@dataclass(frozen=True)
class Sample:
    """The files that a run has left, and what is true."""

    files: Files
    output: bool
    done: dict[int, bytes]  # by offset, in the order of progress: what is in --output
    order: list[int]  # of all tasks

    @property
    def covered(self) -> int:
        """Bytes of progress that fastrecovery stands for."""
        found = re.search(rb"progress=(\d+)", self.files.get(FASTRECOVERY, b""))
        return int(found[1]) if found else 0


def killed_twice(content: bytes, output: bool) -> Sample:
    """Two runs were killed: the first behind a checkpoint and some more, the second in the middle."""
    lay({str(LIST): content})
    return _go_on(output)


def after_taskfarmer(output: bool) -> Sample:
    """TaskFarmer was killed, and two runs of ours after it."""
    lay({path.name: path.read_bytes() for path in TASKFARMER.iterdir()})
    return _go_on(output)


def _go_on(output: bool) -> Sample:
    first = Play(output)
    first.deal(5)
    first.end(2)
    first.end(1, status=3)
    first.end(3, flags=Ended.TIMED_OUT)  # and said exit 0: no success, whatever the joblog's columns look like
    first.manager.turn(CHECKPOINT_S)
    first.deal(2)
    for number in (6, 4):
        first.end(number)
    first.kill()
    second = Play(output)
    second.deal(6)
    second.end(5)
    second.end(0, status=-15, flags=Ended.INTERRUPTED)
    for number in (2, 4, 3):
        second.end(number)
    second.kill()
    return sample_of(output)


def finished(output: bool) -> Sample:
    """Everything is done."""
    lay({str(LIST): b"echo 1\n# c\n\necho 2\necho 3\n"})
    play = Play(output)
    play.deal(3)
    for number in (1, 0, 2):
        play.end(number)
    play.manager.turn(0.0)
    play.manager.finish(0.0)
    play.manager.close(0.0)
    return sample_of(output)


def taskfarmers() -> Sample:
    """TaskFarmer was killed."""
    lay({path.name: path.read_bytes() for path in TASKFARMER.iterdir()})
    return sample_of(False)


def sample_of(output: bool) -> Sample:
    files = laid() | {LOCK: DEAD.encode()}
    files.pop(str(OUTPUT_LOCK), None)
    order, at = [], 0
    for line in files[TFIN].splitlines(keepends=True):
        if line[2:].strip():
            order.append(at)
        at += len(line)
    lines = [line.split() for line in files[PROGRESS].splitlines()]
    return Sample(files, output, {int(line[0]): block(int(line[0])) * (line[3] != b"0") for line in lines}, order)


EQUAL = b"".join(b"echo %d\n" % number for number in range(10, 100))
VARYING = b"# sweep\n" + b"".join(b"echo %s\n\n" % (b"%d" % number * (number % 5)) for number in range(8, 30))
SAMPLES: dict[str, Callable[[], Sample]] = {
    "equal": partial(killed_twice, EQUAL, False),
    "equal, --output": partial(killed_twice, EQUAL, True),
    "varying": partial(killed_twice, VARYING, False),
    "varying, --output": partial(killed_twice, VARYING, True),
    "finished": partial(finished, True),
    "TaskFarmer": taskfarmers,
    "TaskFarmer, then ours": partial(after_taskfarmer, False),
}


# what is found again


def reopened(sample: Sample) -> set[int]:
    """Open the list as a run does, which cuts what is torn, and close it; return the tasks that count as done."""
    run = open_run(Config("tasks.txt", output=str(OUTPUT) if sample.output else None, quiet=True), AT_ONCE)
    if run.journal is None:
        return set(sample.order)
    run.journal.close()
    run.lock.release()
    return set(sample.order) - set(left(run))


def left(run: Run) -> list[int]:
    """Return the offsets of the tasks that a run would deal."""
    return left_of(run.scan, run.start)


def left_of(scan: Scan, start: resume.Resume) -> list[int]:
    walk = Walk(scan.descriptor, scan.size, start.offset, start.seq)
    found: list[int] = start.again["offset"].tolist() + walk.take(scan.tasks + 1)["offset"].tolist()
    assert len(found) == len(set(found)), "a task would be dealt twice"
    assert start.done_count == scan.tasks - len(found), "the tasks that are done are miscounted"
    return found


# one byte


class Damage(NamedTuple):
    """One fault in one file."""

    name: str
    what: str
    at: int
    content: bytes

    def __str__(self) -> str:
        return f"{self.name}: byte {self.at} {self.what}"


def damages(sample: Sample, name: str) -> Iterator[Damage]:
    """Yield every fault of a file: each of its bits flipped if it is short, else one bit of each byte."""
    content = sample.files[name]
    for at, byte in enumerate(content):
        yield Damage(name, "and what follows cut off", at, content[:at])
        yield Damage(name, "zeroed", at, content[:at] + b"\0" + content[at + 1 :])
        for bit in range(8) if len(content) < 300 else (at % 8,):
            flipped = content[:at] + bytes([byte ^ 1 << bit]) + content[at + 1 :]
            yield Damage(name, f"flipped by {1 << bit:#04x}", at, flipped)


def check(sample: Sample, damage: Damage) -> None:
    """Raise AssertionError if a fault makes the farm forget more than one record, or believe what never happened."""
    lay(sample.files | {damage.name: damage.content})
    try:
        found = reopened(sample)
    except FarmError:
        assert may_refuse(sample, damage), "refused, although no more than a record is lost"
        untouched = laid() | {LOCK: b""} == sample.files | {damage.name: damage.content} | {LOCK: b""}
        assert untouched, "refused, and a file was touched"
        return
    assert found <= set(sample.done) | unprovable(sample, damage), "taken for done, and never succeeded"
    assert found >= set(sample.done) - lost(sample, damage), "more than the damaged record is lost"
    if sample.output:
        blocks = b"".join(out for offset, out in sample.done.items() if offset in found)
        assert OUTPUT.read_bytes() == blocks, "--output does not hold a block for each task that is done"
    after = laid()
    assert reopened(sample) == found, "another start finds something else"
    assert laid() | {FASTRECOVERY: b""} == after | {FASTRECOVERY: b""}, "another start changes more"


def may_refuse(sample: Sample, damage: Damage) -> bool:
    if damage.name == PROGRESS:
        return len(damage.content) < sample.covered
    return damage.name in (FASTRECOVERY, TFIN, LOCK)


def lost(sample: Sample, damage: Damage) -> set[int]:
    """Return the tasks whose record is damaged, and with --output those behind it, whose blocks cannot be told apart."""
    if damage.name not in (PROGRESS, JOBLOG) or DONE in sample.files:
        return set()
    content, cut = sample.files[damage.name], len(damage.content) < len(sample.files[damage.name])
    hit, start = [], 0
    for line in content.splitlines(keepends=True):
        end = start + len(line)
        newline_is_lost = damage.at == start - 1  # the line before runs into this one
        if start <= damage.at < end or newline_is_lost or (cut and damage.at < end):
            hit.append(line)
        start = end
    if damage.name == JOBLOG:
        column = 13
        tasks = {int(line.split(b"\t")[column]) for line in hit if line[:1].isdigit() and not cut}
    else:
        tasks = {int(line.split()[0]) for line in hit}
    if not sample.output:
        return tasks
    line = damage.content[damage.content.rfind(b"\n", 0, damage.at) + 1 :].split(b" ", 1)[0]
    if line.isdigit() and damage.name == PROGRESS:
        tasks.add(int(line))  # of two lines with one offset nobody knows which one is true
    done = list(sample.done)
    return set(done[min((done.index(task) for task in tasks if task in sample.done), default=len(done)) :])


def unprovable(sample: Sample, damage: Damage) -> set[int]:
    """Return what nobody can tell: TaskFarmer writes no joblog and no checksum."""
    if JOBLOG in sample.files:
        return set()
    if damage.name == FASTRECOVERY:
        return set(sample.order)
    line = damage.content[damage.content.rfind(b"\n", 0, damage.at) + 1 :].partition(b"\n")[0]
    return {int(word) for word in line.split()[:1] if word.isdigit()}


def broken(name: str, file: str, part: int, parts: int) -> list[str]:
    """Return a line for each fault in one of *parts* parts of all faults of a file that is not borne."""
    found = []
    with scratch():
        sample = SAMPLES[name]()
        for number, damage in enumerate(damages(sample, file)):
            if number % parts == part:
                try:
                    check(sample, damage)
                except Exception as error:  # whatever it is, the other faults are worth knowing
                    found.append(f"{name}: {damage}: {type(error).__name__}: {error}")
    return found


# seeds

WORDS = (b"\n", b"\n", b"\n", b"#", b" ", b"\t", b"\r", b"\r\n", b"\0", b"echo 1", b"\xff", b"> ", b"\n#", b"\\", b"'")
NUMBERS = (*b"0 1 9 -1 10 010 1e3 0x10 2147483648".split(), b"", b"9" * 18, b"9" * 19, b"9" * 25)


def random_list(rng: random.Random) -> bytes:
    parts = [rng.choice(WORDS) if rng.random() < 0.8 else rng.randbytes(rng.randrange(8)) for _ in range(rng.randrange(25))]
    if rng.random() < 0.1:
        parts.append(b"x" * rng.randrange(10_000))
    content = b"".join(parts)
    return content if rng.random() < 0.3 else content.replace(b"\0", b"0")


def damaged(rng: random.Random, content: bytes) -> bytes:
    """Return *content* with some faults."""
    for _ in range(rng.choice((1, 1, 2, 5))):
        start = rng.randrange(len(content) + 1)
        end = min(len(content), start + rng.choice((0, 1, 1, 4, 40)))
        lines = content.splitlines(keepends=True)
        fault = rng.randrange(7)
        if fault == 0:
            content = content[:start]
        elif fault == 1:
            content = content[:start] + bytes(end - start) + content[end:]
        elif fault == 2:
            content = content[:start] + rng.randbytes(end - start) + content[end:]
        elif fault == 3:
            content = content[:start] + rng.choice((*WORDS, *NUMBERS)) + content[end:]
        elif fault == 4:
            at, end = rng.choice([match.span() for match in re.finditer(rb"\d+", content)] or [(0, 0)])
            content = content[:at] + rng.choice(NUMBERS) + content[end:]
        elif fault == 5:
            content = b"".join(rng.sample(lines, rng.randint(0, len(lines))))
        else:
            content += b"".join(rng.choices(lines, k=3)) if lines else rng.randbytes(30)
    return content


def try_list(rng: random.Random) -> None:
    """Scan and walk a random list."""
    content = random_list(rng)
    lay({str(LIST): content})
    lines = [line for line in content.removesuffix(b"\n").split(b"\n") if not line.startswith(b"#")] if content else []
    try:
        made = Tasklist(LIST)
        scan = made.scan(at_will)
    except FarmError:
        assert any(b"\0" in line for line in lines), "refused without a reason"
        return
    made.commit(at_will)
    assert NAMES.tfin.read_bytes() == b"".join(b"> " + line + b"\n" for line in lines)
    texts = [line.strip(b" \t\r") for line in lines]
    assert len(left_of(scan, resume.Resume())) == sum(bool(text) and not text.startswith(b"#") for text in texts)


class Bench:
    """A sample whose list is scanned once for many damaged journals."""

    def __init__(self, make: Callable[[], Sample]) -> None:
        self.sample = make()
        lay(self.sample.files)
        self._tasklist = Tasklist(LIST)
        self._scan = self._tasklist.scan(at_will)
        lay({})  # the scan keeps its file
        size = len(self.sample.files.get(str(OUTPUT), b""))
        self._output = Extent(size, size) if self.sample.output else None

    def try_load(self, rng: random.Random) -> None:
        """Load damaged files."""
        self._lay_damaged(rng, [name for name in (PROGRESS, FASTRECOVERY, JOBLOG) if name in self.sample.files])
        sources = Sources(NAMES.fastrecovery, NAMES.progress, NAMES.joblog, self._output)
        with suppress(FarmError):
            left_of(self._scan, resume.load(self._tasklist, self._scan, sources, fastrecovery.read(NAMES.fastrecovery)))

    def try_open(self, rng: random.Random) -> None:
        """Open damaged files, and open them again."""
        self._lay_damaged(rng, [name for name in self.sample.files if name not in (str(LIST), str(OUTPUT))])
        if rng.random() < 0.2:
            os.utime(NAMES.lock, (1.0, 1.0))
        with suppress(FarmError):
            once = reopened(self.sample)
            assert reopened(self.sample) == once, "another start finds something else"

    def _lay_damaged(self, rng: random.Random, names: list[str]) -> None:
        victims = {rng.choice(names), PROGRESS} if rng.random() < 0.5 else {rng.choice(names)}
        lay(self.sample.files | {name: damaged(rng, self.sample.files[name]) for name in sorted(victims)})


def seed(number: int, benches: list[Bench]) -> None:
    """Run the cases of one seed, in the working directory."""
    rng = random.Random(number)
    before = tfin.CHUNK_BYTES, progress._CHUNK_BYTES
    tfin.CHUNK_BYTES = progress._CHUNK_BYTES = 1 if rng.random() < 0.05 else rng.choice((100, 2**22, 2**22))
    try:
        try_list(rng)
        bench = rng.choice(benches)
        if number % OPEN_EVERY:
            bench.try_load(rng)
        else:
            bench.try_open(rng)
    finally:
        tfin.CHUNK_BYTES, progress._CHUNK_BYTES = before


def first_failure(numbers: range) -> tuple[int, str] | None:
    """Run some seeds; return the first one that failed, with its traceback."""
    with scratch():
        benches = [Bench(make) for make in SAMPLES.values()]
        for number in numbers:
            try:
                seed(number, benches)
            except Exception:
                return number, traceback.format_exc()
    return None


def main(count: int, first: int = 0) -> int:
    """Run *count* seeds on all processors; return 1 if one failed."""
    began = told = time.monotonic()
    chunks = [range(at, min(at + CHUNK, first + count)) for at in range(first, first + count, CHUNK)]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for chunk, failure in zip(chunks, pool.map(first_failure, chunks), strict=True):
            if failure:
                pool.shutdown(cancel_futures=True)
                number, text = failure
                print(f"{text}seed {number} failed; to replay it: python tests/fuzz.py 1 {number}")
                return 1
            if time.monotonic() > told + 10.0:
                told = time.monotonic()
                print(f"{chunk.stop - first} of {count} seeds, {told - began:.0f} s", flush=True)
    print(f"{count} task lists and {count} journals, seeds {first} to {first + count - 1}: 0 tracebacks")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
