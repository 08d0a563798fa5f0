"""What is left to do after kills, crashes, TaskFarmer and users: every rule of the load."""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from fakes import FakeComm, open_journal
from lists import at_will

from mpifarm import FarmError
from mpifarm.journal import fastrecovery, progress, resume
from mpifarm.journal.fastrecovery import Covered
from mpifarm.journal.names import Names
from mpifarm.journal.opening import open_run
from mpifarm.journal.resume import Resume, Sources
from mpifarm.journal.tails import Extent
from mpifarm.ranks.manager import Manager
from mpifarm.schedule.answers import How
from mpifarm.schedule.suspects import NOTHING, Dealt, Word
from mpifarm.settings import Config
from mpifarm.tasks.tasklist import Tasklist
from mpifarm.tasks.walk import Walk

FIXTURE = Path(__file__).parents[1] / "data" / "taskfarmer-killed"
LIST = Path("tasks.txt")
NAMES = Names(Path("tasks.txt.tfin"))
COUNT, LENGTH = 10, 9  # echo 0 to echo 9
ALL = [number * LENGTH for number in range(COUNT)]
CONTENT = b"".join(b"echo %d\n" % number for number in range(COUNT))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    LIST.write_bytes(CONTENT)
    tasklist = Tasklist(LIST)
    tasklist.scan(at_will)
    tasklist.commit(at_will)


def line(offset: int, output_bytes: int = 0) -> bytes:
    return b"%d nid-1-2 0.004 %d 1795344287 9\n" % (offset, output_bytes)


def write_progress(*offsets: int, tail: bytes = b"") -> None:
    NAMES.progress.write_bytes(b"".join(map(line, offsets)) + tail)


def write_fastrecovery(offset: int, *left: int) -> None:
    """Write TaskFarmer's."""
    NAMES.fastrecovery.write_text(f"# max: 0 {offset}\n" + "".join(f"{task}\n" for task in left))


def write_ours(
    offset: int, *left: int, covered: int, output: int = 0, joblog: int = 0, suspects: Sequence[Word] = ()
) -> None:
    """Write ours, which stands for *covered* bytes of progress."""
    crc = zlib.crc32(NAMES.tfin.read_bytes()[:offset])
    NAMES.fastrecovery.write_bytes(
        fastrecovery.content(0, offset, crc, Covered(covered, output, joblog), left, suspects=suspects)
    )


def write_joblog(*attempts: tuple[int, int], printed: int = 0) -> None:
    """Write a joblog of *attempts*: offset and exit code."""
    row = "%d\tnid\t1795344287.0\t0.004\t0\t%d\t%d\t0\t1\t2\t1824\t0.001\t0.002\t%d\techo\n"
    lines = (row % (offset // LENGTH + 1, printed, code, offset) for offset, code in attempts)
    NAMES.joblog.write_text("Seq\tHost\n" + "".join(lines))


def load(output_size: int | None = None, exists: bool = True, dealt: Dealt = NOTHING) -> tuple[Resume, list[int]]:
    """Return what is loaded, and the offsets of all tasks left: those again, then what a walk meets."""
    tasklist = Tasklist(LIST)
    scan = tasklist.scan(at_will)
    try:
        output = None if output_size is None else Extent(output_size, output_size, exists)
        sources = Sources(NAMES.fastrecovery, NAMES.progress, NAMES.joblog, output)
        start = resume.load(tasklist, scan, sources, fastrecovery.read(NAMES.fastrecovery), dealt)
    finally:
        tasklist.discard(at_will)
    walk = Walk(scan.descriptor, scan.size, start.offset, start.seq)
    left = start.again["offset"].tolist() + walk.take(scan.tasks)["offset"].tolist()
    assert start.done_count == scan.tasks - len(left)
    assert start.list_crc == zlib.crc32(os.pread(scan.descriptor, start.offset, 0))
    return start, left


def left(output_size: int | None = None) -> list[int]:
    return load(output_size)[1]


# TaskFarmer's files


def test_what_taskfarmer_left_half_done_is_14_tasks() -> None:
    shutil.copytree(FIXTURE, ".", dirs_exist_ok=True)
    tfin = NAMES.tfin.read_bytes().splitlines(keepends=True)
    starts = [sum(map(len, tfin[:number])) for number in range(len(tfin))]
    done = {int(text.split()[0]) for text in NAMES.progress.open()}
    start, tasks = load()
    assert sorted(tasks) == [at for at in starts if at not in done]
    assert sorted(tasks) == [432, 957, 983, 1009, 1035, 1061, 1087, 1113, 1139, 1165, 1191, 1217, 1243, 1269]
    assert (start.offset, start.seq, start.done_count, start.bad) == (1035, starts.index(1035) + 1, 34, 0)
    assert start.progress_bytes == NAMES.progress.stat().st_size


def test_progress_tells_of_tasks_that_taskfarmer_had_not_taken_off_its_list() -> None:
    write_fastrecovery(36, 9, 18)
    write_progress(0, 18, 45)
    assert left() == [9, *[at for at in ALL[4:] if at != 45]]


def test_taskfarmers_fastrecovery_counts_without_progress() -> None:
    write_fastrecovery(36, 9)
    assert left() == [9, *ALL[4:]]


def test_taskfarmers_fastrecovery_without_progress_outlives_a_kill_of_ours() -> None:
    write_fastrecovery(36, 9)
    open_run(Config("tasks.txt"))  # then killed, before the first checkpoint
    assert left() == [9, *ALL[4:]]


def test_joined_offsets_are_all_done() -> None:
    NAMES.progress.write_bytes(b"0,27,9 nid-1 3 0 1795344287 27\n45 nid-1 1 0 1795344287 9,9\n")
    assert left() == [at for at in ALL if at not in (0, 9, 27, 45)]


# ours


def test_nothing_is_everything() -> None:
    assert left() == ALL


def test_progress_alone_counts() -> None:
    write_progress(0, 27, 27)
    assert left() == [at for at in ALL if at not in (0, 27)]


def test_only_the_progress_beyond_fastrecovery_is_read() -> None:
    write_progress(0, 18, 9, 45)
    size = len(line(0) + line(18))
    write_ours(36, 9, 27, covered=size)
    assert left() == [27, *[at for at in ALL[4:] if at != 45]]


def test_progress_that_was_deleted_is_a_wish_to_start_over() -> None:
    write_ours(36, 9, covered=100)
    assert left() == ALL


def test_fastrecovery_that_was_deleted_leaves_what_progress_says() -> None:
    write_progress(0, 9)
    assert left() == ALL[2:]


def test_what_was_done_beyond_the_dealing_offset_outlives_a_run_that_stops_at_once() -> None:
    write_progress(0, 27, 45)
    for _ in range(2):
        opened = open_run(Config("tasks.txt", quiet=True))
        assert opened.journal is not None
        manager = Manager(Config("tasks.txt", quiet=True), FakeComm(2), opened, opened.journal, [1], 0.0)
        manager.stop(How.KILL, 0.0, "Ctrl-C before a worker has come")
        manager.turn(1000.0)
        manager.close(1000.0)
        assert left() == [at for at in ALL if at not in (0, 27, 45)]


def test_what_is_done_after_progress_was_shortened_is_not_run_again() -> None:
    write_progress(0)  # of four lines
    write_ours(36, covered=4 * len(line(0)))
    try:
        start, _ = load()
    except FarmError:
        return  # that is an answer, too
    open_journal(NAMES, None, start).close()
    with NAMES.progress.open("ab") as file:
        file.write(line(36) + line(45))
    assert left() == ALL[6:]


# torn, zeroed, bad


@pytest.mark.parametrize("zeros", [0, 3])
@pytest.mark.parametrize("covered", [0, 2])
def test_progress_cut_at_any_byte_counts_its_whole_lines(zeros: int, covered: int) -> None:
    offsets = [18, 0, 45, 81]
    whole = b"".join(map(line, offsets))
    begin = len(b"".join(map(line, offsets[:covered])))
    if covered:
        write_ours(27, 9, covered=begin)
    for length in range(begin, len(whole) + 1):
        NAMES.progress.write_bytes(whole[:length] + bytes(zeros))
        start, tasks = load()
        done = offsets[: whole[:length].count(b"\n")]
        assert tasks == [at for at in ALL if at not in done], length
        assert start.progress_bytes == whole.rfind(b"\n", 0, length) + 1
        assert start.bad == 0


def test_a_bad_line_in_the_middle_is_skipped_and_counted() -> None:
    bad = [
        b"",
        b"\0\0\0",
        b"9 n-1 1 0 1",
        b"9 n-1 1 0 1 9 9",
        b"-9 n-1 1 0 1 9",
        b"x",
        b"9\tn-1 1 0 1 9",
        b"9,, n-1 1 0 1 9",
        b"1 n-1 1 0 1 9",
    ]
    NAMES.progress.write_bytes(line(0) + b"".join(text + b"\n" for text in bad) + line(27) + line(36))
    start, tasks = load()
    assert tasks == [at for at in ALL if at not in (0, 27, 36)]
    assert start.bad == len(bad)
    assert start.progress_bytes == NAMES.progress.stat().st_size


def test_a_long_progress_file_is_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_CHUNK_BYTES", 50)
    write_progress(0, 9, 27, 45, tail=b"81 nid-1-2 0.0")
    start, tasks = load()
    assert tasks == [18, 36, *ALL[6:]]
    assert start.progress_bytes == len(line(0) + line(9) + line(27) + line(45))


def test_lines_read_together_say_what_they_say_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = [line(0, 7), b"9 n-1 0 0 1 9\n", b"18 n-1 12.5 3 1 9\n"]
    odd = [
        b"27,36 n-1 1 4 1 9,9\n",
        b"\n",
        b"x\r45 n-1 1 0 1 9\n",
        b"45 n-1 1. 0 1 9\n",
        b" 45 n-1 1 0 1 9\n",
        b"9" * 19 + b"\n",
    ]
    for lines in (plain, plain + odd, odd + plain):
        NAMES.progress.write_bytes(b"".join(lines))
        found = []
        for chunk_bytes in (1, 2**20):
            monkeypatch.setattr(progress, "_CHUNK_BYTES", chunk_bytes)
            read = progress._lines(NAMES.progress, 0)
            found.append([column.tolist() for column in (read.offsets, read.lengths, read.outputs, read.ends)])
        assert found[0] == found[1]
        assert found[0][3][-1] == NAMES.progress.stat().st_size


def test_blank_records_are_no_tasks_whoever_says_so() -> None:
    LIST.write_bytes(b"echo 0\n\n  # c\necho 1\n")
    NAMES.tfin.unlink()
    write_fastrecovery(12, 9)  # TaskFarmer runs them
    write_progress(0, 12)
    start, tasks = load()
    assert (tasks, start.done_count, start.bad) == ([20], 1, 0)


# damage that leaves a line readable


@pytest.mark.parametrize("changed", [9, 81])
def test_a_task_whose_offset_has_changed_to_another_ones_runs_again_and_the_other_one_too(changed: int) -> None:
    write_ours(0, covered=0, joblog=0)
    write_joblog((0, 0), (45, 0), (27, 1), (27, 0))
    write_progress(0, changed, 27)
    assert left() == [at for at in ALL if at not in (0, 27)]


def test_a_line_that_the_joblog_does_not_know_yet_counts() -> None:
    write_ours(0, covered=0, joblog=0)
    write_joblog((0, 0))
    write_progress(0, 9, 18)
    assert left() == ALL[3:]


@pytest.mark.parametrize("damaged", [b"0", b"x", b"7\t8"])
def test_a_joblog_that_is_damaged_itself_contradicts_nobody(damaged: bytes) -> None:
    write_ours(0, covered=0, joblog=0)
    write_joblog((0, 0), (9, 0), (18, 0))
    NAMES.joblog.write_bytes(NAMES.joblog.read_bytes().replace(b"\t9\techo", b"\t%s\techo" % damaged))
    write_progress(0, 9, 18)
    assert left() == ALL[3:]


def test_a_line_for_a_record_of_another_length_is_bad() -> None:
    write_ours(0, covered=0)
    NAMES.progress.write_bytes(line(0) + line(9).replace(b" 9\n", b" 8\n") + line(18))
    assert left() == [9, *ALL[3:]]


@pytest.mark.parametrize("words", [("36", "27"), ("\n9\n", "\n0\n"), ("progress=5", "progress=4"), ("crc=", "crc=1")])
def test_a_fastrecovery_that_has_changed_counts_for_nothing(words: tuple[str, str]) -> None:
    write_progress(0, 18, 45)
    write_ours(36, 9, covered=5, joblog=4711)
    text = NAMES.fastrecovery.read_text()
    assert words[0] in text
    NAMES.fastrecovery.write_text(text.replace(*words))
    with pytest.raises(FarmError, match="fastrecovery"):
        load()


# --output


def test_what_follows_a_bad_line_is_cut_since_nobody_knows_how_long_its_block_is() -> None:
    NAMES.progress.write_bytes(line(0, 10) + b"x\n" + line(18, 5))
    start, tasks = load(35)
    assert tasks == ALL[1:]
    assert (start.progress_bytes, start.output_bytes, start.bad) == (len(line(0, 10)), 10, 2)


@pytest.mark.parametrize("lines", [[(0, 7), (9, 0), (18, 7)], [(0, 7), (81, 7), (18, 7)], [(0, 7), (18, 7), (18, 7)]])
def test_so_is_what_follows_a_line_that_the_joblog_contradicts(lines: list[tuple[int, int]]) -> None:
    write_ours(0, covered=0, joblog=0)
    write_joblog((0, 0), (9, 0), (18, 0), printed=7)
    NAMES.progress.write_bytes(b"".join(line(*said) for said in lines))
    start, tasks = load(21)
    assert tasks == ALL[1:]
    assert start.output_bytes == 7


def test_lines_whose_block_is_lost_run_again() -> None:
    NAMES.progress.write_bytes(line(0, 10) + line(9, 20) + line(18, 5) + line(27, 5))
    for size, done in ((40, 4), (35, 3), (34, 2), (30, 2), (29, 1), (10, 1), (9, 0)):
        start, tasks = load(size)
        assert tasks == ALL[done:]
        assert start.output_bytes == sum((10, 20, 5, 5)[:done]) <= size


def test_another_output_file_is_refused_and_not_a_reason_to_run_all_again() -> None:
    NAMES.progress.write_bytes(line(0, 10) + line(9, 20))
    with pytest.raises(FarmError, match="--output"):
        load(0, exists=False)
    assert load(0)[1] == ALL, "a file that is there and empty has lost its blocks in a crash"
    write_ours(18, covered=NAMES.progress.stat().st_size, output=30)
    with pytest.raises(FarmError, match="--output has 29 bytes"):
        load(29)


# lists that have changed


def test_a_list_may_grow_at_its_end() -> None:
    write_progress(*ALL)
    LIST.write_bytes(CONTENT + b"# more\necho 10\n")
    assert left() == [COUNT * LENGTH]


def test_what_was_not_dealt_may_change() -> None:
    write_progress(0, 9)
    write_ours(18, covered=len(line(0) + line(9)))
    LIST.write_bytes(b"echo 0\necho 1\n# new\necho two\n")
    assert left() == [18]


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (CONTENT.replace(b"2", b"x"), 'line 3 was "echo 2", and is "echo x" now'),
        (
            CONTENT.replace(b"3", b"x"),
            'line 4 was "echo 3", and is "echo x" now',
        ),  # done, and the last one of all that were
        (b"# new\n" + CONTENT.replace(b"2", b"x"), 'line 4 was "echo 2", and is "echo x" now'),
        (CONTENT.replace(b"echo 1", b"#echo 1"), 'line 2 was "echo 1", and is a comment now'),
        (CONTENT.replace(b"echo 1\n", b""), 'task 2 ("echo 1") is gone'),
        (CONTENT.replace(b"echo 1\n", b"\necho 1\n"), "1 line without a task is new (2)"),
        (CONTENT[:14], "8 tasks are gone (3-10)"),
        (b"", "10 tasks are gone (1-10)"),
    ],
)
def test_a_task_that_was_dealt_may_not(content: bytes, told: str, checkpoint: bool) -> None:
    write_progress(0, 27)
    if checkpoint:
        write_ours(36, 9, 18, covered=10)
    LIST.write_bytes(content)
    with pytest.raises(FarmError) as refused:
        load()
    assert str(refused.value) == (
        f"tasks.txt has changed since the last run: {told}: give --edited to go on with the lines that are unchanged,"
        " restore the list, or give --rerun to run all of it again"
    )


@pytest.mark.parametrize("content", [CONTENT.replace(b"2", b"x"), CONTENT[:14], b""])
def test_a_change_is_found_without_the_tfin_file(content: bytes) -> None:
    write_progress(0, 27)
    write_ours(36, 9, 18, covered=10)
    NAMES.tfin.unlink()
    LIST.write_bytes(content)
    with pytest.raises(
        FarmError, match=r"no tasks\.txt\.tfin of that run tells what|does not fit the task list"
    ) as refused:
        load()
    assert "--edited" not in str(refused.value)  # there is nothing to hold the list against


# files that fit nothing


@pytest.mark.parametrize(
    ("content", "number"),
    [
        (b"", 1),
        (b"\0" * 40, 1),
        (b"36\n", 1),
        (b"# max: 4\n", 1),
        (b"# max: 4 -36\n", 1),
        (b"# max: 4 36 words\n", 1),
        (b"# max: 4 36\n9\n\n18\n", 3),
        (b"# max: 4 36\n9\n18x\n", 3),
        (b"# max: 4 36\n-9\n", 2),
        (b"# max: 4 36\r\n", 1),
        (b"# max: 4 " + b"9" * 30 + b"\n", 1),
    ],
)
def test_a_malformed_fastrecovery_is_named_with_its_line(content: bytes, number: int) -> None:
    NAMES.fastrecovery.write_bytes(content)
    with pytest.raises(FarmError, match=rf"fastrecovery\.tasks\.txt\.tfin:{number}: not a line"):
        load()


@pytest.mark.parametrize(
    "text", ["# max: 4 35\n", "# max: 4 36\n8\n", "# max: 4 36\n45\n", "# max: 4 999\n", "# max: 9 90\n99\n"]
)
def test_fastrecovery_of_another_list_is_refused(text: str) -> None:
    NAMES.fastrecovery.write_text(text)
    with pytest.raises(FarmError, match=r"fit|shorter"):
        load()


def test_progress_of_another_list_is_refused() -> None:
    write_progress(1, 2, 3, 9)
    with pytest.raises(FarmError, match="does not fit the task list"):
        load()


@pytest.mark.parametrize("words", [[], [(9, 1, False)], [(9, 3, True), (27, 12, False)]])
def test_suspects_come_back_from_a_checkpoint_and_tasks_that_are_done_are_none(words: list[Word]) -> None:
    write_ours(45, 9, 27, covered=0, suspects=words)
    write_progress(27)
    checkpoint = fastrecovery.read(NAMES.fastrecovery)
    assert checkpoint
    assert checkpoint.suspects == words
    start, _ = load()
    assert start.suspicion.counts == {offset: deaths for offset, deaths, _ in words if offset != 27}


def test_what_a_farm_was_running_when_it_ended_without_a_word_is_suspected_though_nothing_behind_it_is_recorded() -> None:
    write_ours(18, 9, covered=0, suspects=[(9, 1, False)])
    write_progress(27)
    start, left_ = load(dealt=Dealt(54))
    assert start.offset == 54
    assert start.suspicion.counts == {9: 1, 36: 1, 18: 1, 45: 1}
    assert start.suspicion.raised == 3
    assert left_ == [9, 18, 36, 45, 54, 63, 72, 81]
    assert start.list_crc == zlib.crc32(NAMES.tfin.read_bytes()[:54])
    assert start.seq == 7


@pytest.mark.parametrize("dealt", [Dealt(53), Dealt(10**9), Dealt(90 + 9)])
def test_the_words_of_a_lock_that_do_not_fit_the_list_count_for_nothing(dealt: Dealt) -> None:
    write_ours(18, 9, covered=0)
    write_progress(27)
    start, _ = load(dealt=dealt)
    assert start.offset == 36
    assert start.suspicion.counts == {}


def test_so_do_those_of_a_list_that_has_changed_where_it_was_dealt() -> None:
    write_ours(18, covered=0)
    write_progress()
    LIST.write_bytes(CONTENT.replace(b"echo 3", b"echo x"))
    start, left_ = load(dealt=Dealt(54))
    assert (start.offset, start.suspicion.counts) == (18, {})
    assert left_ == ALL[2:]
