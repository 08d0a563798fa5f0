"""Deliberate bugs, put into a copy of mpifarm one at a time: the simulation, or a file of tests, has to find each of them.

To see the table, with the seed that caught each: python tests/mutations.py; or of some of them, by name: ... NAME...
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
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
    Mutation(
        "end a task that spans lines at the first line that could close it",
        "span",
        "if not line.open and not commands.unfinished:",
        "if not line.open:",
        hunted_by="tests/tasks/test_span.py",
    ),
    Mutation(
        "take a body of a here-document for commands",
        "span",
        'if line.open == "<<" and not _continues(text):',
        "if False:",
        hunted_by="tests/tasks/test_span.py",
    ),
    Mutation(
        "read the comments of a task that spans lines as its text",
        "span",
        "line = read(text[: line.end], dash)",
        "pass",
        hunted_by="tests/tasks/test_span.py",
    ),
    Mutation(
        "put one line too few into the script",
        "span",
        "sed -n {first},{last}p",
        "sed -n {first},{last - 1}p",
        hunted_by="tests/tasks/test_span.py",
    ),
    Mutation(
        "claim an end of which nobody is sure",
        "span",
        "if not line.sure or (not line.open and not commands.sure):",
        "if not line.sure:",
        hunted_by="tests/tasks/test_span.py",
    ),
    Mutation(
        "tell the lines of a task that spans lines as faults of their own",
        "check",
        "if kind is Kind.NO_TASK and place <= until:",
        "if False:",
        hunted_by="tests/tasks/test_check.py",
    ),
    Mutation(
        "look no further than what was read of a list at once",
        "survey",
        "        source.seek(at)\n        return more\n",
        '        source.seek(at)\n        return b""\n',
        hunted_by="tests/tasks/test_span.py",
    ),
    Mutation(
        "take options behind ::: for ours",
        "sources",
        "if word in OPERATORS), len(words))",
        "if word in OPERATORS[1:]), len(words))",
        hunted_by="tests/test_sources.py",
    ),
    Mutation(
        "write the options of a run into the line that writes the list",
        "sources",
        "not in (*_OF_A_LIST, EACH) for word in option]",
        "not in (EACH,) for word in option]",
        hunted_by="tests/test_sources.py",
    ),
    Mutation(
        "print a list without a task",
        "expand",
        "    if not is_begun:\n",
        "    if False:\n",
        hunted_by="tests/view/test_expand.py",
    ),
    Mutation(
        "print a part of a list, and not say that it is one",
        "expand",
        "'; what was printed before that is not all' if is_begun else ''",
        "''",
        hunted_by="tests/view/test_expand.py",
    ),
    Mutation(
        "print into the file that is read",
        "expand",
        "    stdout.refuse_own(_OPTION, read)\n",
        "",
        hunted_by="tests/view/test_expand.py",
    ),
    Mutation(
        "count the repeats of disBatch from 1",
        "foreign",
        "int(repeat[2] or 0)",
        "int(repeat[2] or 1)",
        hunted_by="tests/tasks/test_foreign.py",
    ),
    Mutation(
        "let a variable that is set for a program be looked up before",
        "foreign",
        "        if re.search(_FOR_ONE % (name, name), text):\n",
        "        if False:\n",
        hunted_by="tests/tasks/test_foreign.py",
    ),
    Mutation(
        "leave a tilde without quotes",
        "values",
        '-_.+/".encode()',
        '-_.+/~".encode()',
        hunted_by="tests/tasks/test_expansion.py",
    ),
    Mutation(
        "take an empty value for one that needs no quotes",
        "values",
        "return all(values) and not",
        "return not",
        hunted_by="tests/tasks/test_expansion.py",
    ),
    Mutation(
        "quote within the quotes of a template",
        "expansion",
        "if not field.quotable:",
        "if False:",
        hunted_by="tests/tasks/test_expansion.py",
    ),
    Mutation(
        "take what is in double quotes for code",
        "template",
        "_CODE = (Part.CODE, Part.NESTED)",
        "_CODE = (Part.CODE, Part.NESTED, Part.TEXT)",
        hunted_by="tests/tasks/test_template.py",
    ),
    Mutation(
        "ask only one shell what is quoted",
        "template",
        "for dash in (True, False)]",
        "for dash in (True,)]",
        hunted_by="tests/tasks/test_template.py",
    ),
    Mutation(
        "let values be code",
        "template",
        "if first and brace.start() < first.end():",
        "if False:",
        hunted_by="tests/tasks/test_template.py",
    ),
    Mutation(
        "put the line behind a comment",
        "template",
        "if line.sure and line.end < len(self._text):",
        "if False:",
        hunted_by="tests/tasks/test_template.py",
    ),
    Mutation(
        "take find's braces for a field",
        "template",
        'own = _OWN.search(before) if brace[0] == b"{}" else None',
        "own = None",
        hunted_by="tests/tasks/test_template.py",
    ),
    Mutation(
        "count the line of the names as a record",
        "expansion",
        "seq = number - self._before",
        "seq = number",
        hunted_by="tests/tasks/test_expansion.py",
    ),
    Mutation(
        "tell the first row of many for the one with the fault",
        "expansion",
        "where = self._rows.where(number + at)",
        "where = self._rows.where(number)",
        hunted_by="tests/tasks/test_expansion.py",
    ),
    Mutation(
        "take rows that are ragged",
        "expansion",
        "if self._width is not None and len(rows[0]) != self._width:",
        "if False:",
        hunted_by="tests/tasks/test_expansion.py",
    ),
    Mutation(
        "make a task of a blank line",
        "expansion",
        "return 0 if self._rows.lines and len(row) == 1 and",
        "return 0 if False and",
        hunted_by="tests/tasks/test_expansion.py",
    ),
    Mutation(
        "let several columns be one word",
        "expansion",
        "if len(columns) > 1 and not field.alone:",
        "if False:",
        hunted_by="tests/tasks/test_expansion.py",
    ),
    Mutation(
        "let lines keep their carriage return",
        "rows",
        'yield lines.replace(b"\\r\\n", b"\\n")',
        "yield lines",
        hunted_by="tests/tasks/test_rows.py",
    ),
    Mutation(
        "read a pipe again",
        "rows",
        "        if self._gone:\n",
        "        if False:\n",
        hunted_by="tests/tasks/test_rows.py",
    ),
    Mutation(
        "cut what is linked to the shorter list",
        "combinations",
        "in enumerate(zip_longest(*streams), start=1):",
        "in enumerate(zip(*streams), start=1):",
        hunted_by="tests/tasks/test_rows.py",
    ),
    Mutation(
        "forget that a list was too large to keep",
        "combinations",
        "                kept = None\n",
        "                pass\n",
        hunted_by="tests/tasks/test_rows.py",
    ),
    Mutation(
        "read what the csv module calls wrong as it is",
        "columns",
        ", strict=True)",
        ")",
        hunted_by="tests/tasks/test_columns.py",
    ),
    Mutation(
        "look for a number that is there twice one turn too short",
        "ranges",
        "in late[:turn]",
        "in late[: turn - 1]",
        hunted_by="tests/tasks/test_ranges.py",
    ),
    Mutation(
        "count the slots of a lost worker as busy and not as there",
        "witness",
        "passed * (self._had + slots) / 2",
        "passed * slots",
        hunted_by="tests/ranks/test_witness.py",
    ),
    Mutation(
        "believe the largest limit of a node's memory",
        "memory",
        "    return min(known, default=0)",
        "    return max(known, default=0)",
        hunted_by="tests/site/test_memory.py",
    ),
    Mutation(
        "take the --mem of an old job for that of this one",
        "slurm",
        "    if job(environ) is None:\n        return 0\n    node, cpu",
        "    node, cpu",
        hunted_by="tests/site/test_memory.py",
    ),
    Mutation(
        "take a node that does not tell for one without memory",
        "placement",
        "    return min((offer.memory_kib for offer in offers if offer.memory_kib), default=0)",
        "    return min((offer.memory_kib for offer in offers), default=0)",
        hunted_by="tests/view/test_placement.py",
    ),
    Mutation(
        "call a status file damaged that is older than one of its fields",
        "snapshot",
        "if name not in _LATER or name in value",
        "if True",
        hunted_by="tests/view/test_snapshot.py",
    ),
    Mutation(
        "let the report tell the memory of the first start",
        "logbook",
        "for event in reversed(self.events) if",
        "for event in self.events if",
        hunted_by="tests/view/test_account.py",
    ),
    Mutation(
        "advise more tasks at a time than fit into a node",
        "hindsight",
        "            threads = min(threads, runs.node_kib // runs.usual_kib)",
        "            pass",
        hunted_by="tests/view/test_advice.py",
    ),
    Mutation(
        "wait for a FIFO that lies in place of a file",
        "names",
        "            if not stat.S_ISREG(path.stat().st_mode):",
        "            if False:",
        hunted_by="tests/journal/test_names.py",
    ),
    Mutation(
        "let lines of a batch mend each other",
        "syntax",
        "return begin + text + _GUARD + end",
        'return begin + text + b"\\n" + end',
        hunted_by="tests/tasks/test_syntax.py",
    ),
    Mutation(
        "ask a shell that would run the list",
        "syntax",
        "        if not self.asks:\n",
        "        if False:\n",
        hunted_by="tests/tasks/test_syntax.py",
    ),
    Mutation(
        "settle what the shell calls wrong",
        "survey",
        "if told and new.number not in wrong and",
        "if told and",
        hunted_by="tests/tasks/test_survey.py",
    ),
    Mutation(
        "say that an edited list would start",
        "checked",
        "if seen.differs_at is not None and seen.differs_at < names.tfin.stat().st_size:",
        "if False:",
        hunted_by="tests/view/test_checked.py",
    ),
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
    Mutation("try again last, though it may decide", "queue", "        if self._hurry:\n", "        if False:\n"),
    Mutation(
        "queue behind what decides",
        "dealing",
        "if rest and not hurry:",
        "if rest:",
        hunted_by="tests/schedule/test_max_fails.py",
    ),
    Mutation("hurry only when it is too late", "schedule", "len(self._histories.undecided))", "0)"),
    Mutation("go on after too many have failed", "schedule", "actions += self.stop_asked(How.DRAIN, now)", "pass"),
    Mutation(
        "ask for another run after too many have failed", "schedule", "if waiting and not self.gave_up:", "if waiting:"
    ),
    Mutation(
        "keep its own failures for ever in doubt",
        "history",
        "        self.undecided.discard(offset)\n\n",
        "\n",
    ),
    Mutation(
        "leave the failures of a busy farm to a node that is not free",
        "dealing",
        "workers.free_elsewhere if hurry else",
        "workers.elsewhere if hurry else",
        hunted_by="tests/schedule/test_max_fails.py",
    ),
    Mutation(
        "let a sick node decide",
        "workers",
        "if self._quarantine.may_be_sick(worker.node):",
        "if False:",
        hunted_by="tests/schedule/test_max_fails.py",
    ),
    Mutation(
        "take back what has stopped the farm",
        "schedule",
        "if not self.gave_up:  #",
        "if True:  #",
        hunted_by="tests/schedule/test_max_fails.py",
    ),
    Mutation(
        "raise the alarm though something has succeeded",
        "alarm",
        "self._kinds == {kind} and not self._schedule.done",
        "self._kinds == {kind}",
        hunted_by="tests/ranks/test_alarm.py",
    ),
    Mutation("leave a slot idle", "dealing", "        if count > 0:\n", "        if count > 1:\n"),
    Mutation("forget what a lost worker had", "judgement", "self._queue.put_back((", "tuple(("),
    Mutation("forget to retry", "judgement", "self._queue.retries.add(worker.node, task, failures, now)", "pass"),
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
        "min(self._stop_by, self.awake(now) + patience_s)",
        "self.awake(now) + patience_s",
        hunted_by="tests/schedule/test_silence.py",
    ),
    Mutation(
        "wait as long for who is killed at once as for who may end",
        "silence",
        "(0.0 if at_once else self._kill_after_s)",
        "self._kill_after_s",
        hunted_by="tests/schedule/test_silence.py",
    ),
    Mutation(
        "wait for no task that has long to end",
        "silence",
        "(0.0 if at_once else self._kill_after_s)",
        "0.0",
        hunted_by="tests/schedule/test_silence.py",
    ),
    Mutation(
        "give a helper no more time than for the answer",
        "launcher",
        "self._has_to_end(self._kill_after_s)",
        "self._has_to_end(0.0)",
        hunted_by="tests/launcher/test_launcher.py",
    ),
    Mutation(
        "let an unknown option take the list for its value",
        "arguments",
        "    if unknown or answers:\n",
        "    if False:\n",
        hunted_by="tests/test_arguments.py",
    ),
    Mutation(
        "take +1 for a number of slots",
        "options",
        "if not text.isdecimal():",
        "if False:",
        hunted_by="tests/test_cli.py",
    ),
    Mutation(
        "let a long --kill-after outlive the job",
        "deadline",
        "max(last_s - config.kill_after_s, min(FLUSH_S, last_s / 2))",
        "last_s - config.kill_after_s",
        hunted_by="tests/ranks/test_deadline.py",
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
    Mutation(
        "give up the intent before the renames",
        "step",
        "    for kind in waiting:\n",
        "    files.remove(names.intent, prove)\n    for kind in waiting:\n",
    ),
    Mutation(
        "begin without finishing what is intended",
        "opening",
        "return step.finish(names, lock.prove, lock.keep, lock.forget) or ()",
        "return ()",
    ),
    Mutation(
        "do not sync what is due",
        "step",
        "                files.write_all(file.fileno(), part)\n"
        "                size, crc = size + len(part), zlib.crc32(part, crc)\n            os.fsync(file.fileno())\n",
        "                files.write_all(file.fileno(), part)\n"
        "                size, crc = size + len(part), zlib.crc32(part, crc)\n",
    ),
    Mutation(
        "do not sync what is replaced",
        "step",
        "        os.fsync(file.fileno())\n    return tails",
        "        pass\n    return tails",
        hunted_by="tests/journal/test_step.py",
    ),
    Mutation(
        "keep the done file of an edited list",
        "rewriting",
        "    step.clear(names.done)\n",
        "    pass\n",
        hunted_by="tests/journal/test_carrying.py",
    ),
    Mutation(
        "keep what was dealt of the list before",
        "lock",
        "        self.found = NOTHING\n        self.note(NOTHING)\n",
        "",
        hunted_by="tests/journal/test_carrying.py",
    ),
    Mutation(
        "take who ran in between for ours",
        "step",
        "elif path.exists() and tails.seen(path) != due.old:",
        "elif False:",
        hunted_by="tests/journal/test_step.py",
    ),
    Mutation(
        "keep the offsets of progress",
        "rewriting",
        'b"%d%s" % (at, words[1]) for at, words',
        'b"%s%s" % (words[0], words[1]) for at, words',
    ),
    Mutation(
        "keep the progress of what is gone",
        "rewriting",
        "np.where(true, passage.of_done(offsets), -1)",
        "np.where(true, offsets, -1)",
    ),
    Mutation("take what is new for done", "rewriting", "(*new, moved[moved >= 0])", "(moved[moved >= 0],)"),
    Mutation("take what was left for done", "rewriting", "(*new, moved[moved >= 0])", "(moved[:0], *new)"),
    Mutation(
        "forget what is done behind what is gone",
        "rewriting",
        "(ends[0] + ends[1]).max(initial=0)",
        "(ends[0] + ends[1]).min(initial=10**6) % 10**6",
    ),
    Mutation(
        "leave out the blocks of what is gone",
        "rewriting",
        "Covered(progress, start.output_bytes, joblog, tail)",
        "Covered(progress, 0, joblog, tail)",
    ),
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
    Mutation(
        "write without asking the lock",
        "warrant",
        "self._lock.prove()",
        "pass",
        hunted_by="tests/journal/test_warrant.py",
    ),
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
        "take lines with the same hash for equal",
        "edits",
        " and before.equals(old_at, after, new_at, old_to - old_at)",
        "",
        hunted_by="tests/tasks/test_edits.py",
    ),
    Mutation(
        "be sure of a match that another one may pass by",
        "edits",
        ">= left_out + SURE_LINES",
        "> SURE_LINES",
        hunted_by="tests/tasks/test_edits.py",
    ),
    Mutation(
        "match what has moved with any of its equals",
        "edits",
        "counts[order] = np.arange(values.size) - np.repeat(begins, np.diff(begins, append=values.size))",
        "counts[order] = np.repeat(np.diff(begins, append=values.size), np.diff(begins, append=values.size))",
        hunted_by="tests/tasks/test_edits.py",
    ),
    Mutation(
        "let what has moved run again",
        "edits",
        "if not (old.keys.size and new.keys.size):",
        "if True:",
    ),
    Mutation(
        "look for edits of one kind alone",
        "matching",
        "x = np.maximum(right, down)",
        "x = down",
        hunted_by="tests/tasks/test_matching.py",
    ),
    Mutation(
        "take a comment for a record of the list",
        "changes",
        'not line.startswith(b"#")\n',
        "True\n",
        hunted_by="tests/tasks/test_changes.py",
    ),
    Mutation(
        "take back in the log what another command has failed",
        "retraction",
        'if length and line.endswith(b": " + self._command(offset, length)):',
        "if length:",
        hunted_by="tests/journal/test_retraction.py",
    ),
    Mutation(
        "take back in the log what was taken back",
        "retraction",
        "retractions.succeeded(offset)",
        "pass",
        hunted_by="tests/journal/test_retraction.py",
    ),
    Mutation(
        "read in the log another task's number",
        "scan",
        'found[here] = records["offset"][seqs[here] - seq]',
        'found[here] = records["offset"][seqs[here] - seq - 1]',
        hunted_by="tests/journal/test_retraction.py",
    ),
    Mutation(
        "number the lines of a list that was edited in place",
        "numbering",
        "lines if lines.size == seq - self._seqs[chunk] else",
        "lines if lines.size else",
        hunted_by="tests/tasks/test_numbering.py",
    ),
    Mutation(
        "take the lines of an edited list for those that were dealt",
        "original",
        "if not chunk.startswith(was) or",
        "if",
        hunted_by="tests/view/test_failed.py",
    ),
    Mutation(
        "call a success what the farm does not",
        "joblog",
        "counts = known & (success == found.done[place])",
        "counts = known",
        hunted_by="tests/view/test_failed.py",
    ),
    Mutation(
        "let the end of a run wait for ever for its command",
        "on_end",
        "if time.monotonic() > until:",
        "if False:",
        hunted_by="tests/launcher/test_on_end.py",
    ),
    Mutation(
        "run again what --output holds",
        "repeating",
        "output.check_again(start)",
        "pass",
        hunted_by="tests/journal/test_repeating.py",
    ),
    Mutation(
        "believe progress rather than the done file",
        "repeating",
        "if finished and start.done_count < scan.tasks:",
        "if False:",
        hunted_by="tests/journal/test_repeating.py",
    ),
    Mutation(
        "call done what is left",
        "repeating",
        ' & ~among(chosen["offset"], start.again["offset"])',
        "",
        hunted_by="tests/journal/test_repeating.py",
    ),
    Mutation(
        "take any file for numbers",
        "which",
        "if numbers and path.exists():",
        "if False:",
        hunted_by="tests/tasks/test_which.py",
    ),
    Mutation(
        "take any failure of srun for a step that waits",
        "steps",
        ' and b"busy" in tried.stderr',
        "",
        hunted_by="tests/site/test_steps.py",
    ),
    Mutation(
        "look for srun at the head of a list alone",
        "starters",
        "return bool(STARTER.search(source.read(_LOOK_BYTES)))",
        "return False",
        hunted_by="tests/tasks/test_starters.py",
    ),
    Mutation(
        "warn of a srun that overlaps",
        "starters",
        " or _CARED_FOR.search(command)",
        "",
        hunted_by="tests/tasks/test_starters.py",
    ),
    Mutation(
        "say nothing of a manager's node that runs nothing",
        "placement",
        'manager="" if config.node in nodes else config.node,',
        'manager="",',
        hunted_by="tests/view/test_placement.py",
    ),
    Mutation(
        "lose that the output of a failed attempt had no place",
        "outcome",
        "if missing := out.trouble or err.trouble:",
        "if succeeded and (missing := out.trouble or err.trouble):",
        hunted_by="tests/launcher/test_outcome.py",
    ),
    Mutation(
        "tell all that was interrupted has printed",
        "outcome",
        "if len(output) + len(errors) > self._to_tell:",
        "if False:",
        hunted_by="tests/launcher/test_outcome.py",
    ),
    Mutation(
        "name all that was interrupted",
        "interruptions",
        "if self._number <= MOST_TOLD:",
        "if True:",
        hunted_by="tests/ranks/test_interruptions.py",
    ),
    Mutation(
        "ask a file system that may hang whether it is full",
        "space",
        "if self._mounts.place(self._place) is not Place.HERE:",
        "if False:",
        hunted_by="tests/launcher/test_space.py",
    ),
    Mutation(
        "find too long a path of a lock when it is taken",
        "names",
        "over = _length(str(longest)) - _longest_path(target.parent)",
        "over = 0",
        hunted_by="tests/journal/test_names.py",
    ),
    Mutation(
        "say that all is done before the last task has ended",
        "bar",
        "return min(99, max(1, 100 * done // total)) if done else 0",
        "return round(100 * done / total)",
        hunted_by="tests/view/test_bar.py",
    ),
    Mutation(
        "write what is said into the bar",
        "voice",
        "            self._put(_ERASE)\n",
        "",
        hunted_by="tests/test_voice.py",
    ),
    Mutation(
        "forget what still runs when the end is estimated",
        "estimate",
        "        if times.unknown > _UNKNOWN:\n",
        "        if False:\n",
        hunted_by="tests/view/test_estimate.py",
    ),
    Mutation(
        "let earlier runs outweigh this one",
        "estimate",
        "min(1.0, lacking / earlier.ended)",
        "1.0",
        hunted_by="tests/ranks/test_pace.py",
    ),
    Mutation(
        "read an earlier joblog before the first task is dealt",
        "pace",
        "self._earlier.times() if left.running else None",
        "self._earlier.times()",
        hunted_by="tests/ranks/test_pace.py",
    ),
    Mutation(
        "take what this run has written for an earlier one",
        "attempts",
        "chunk = file.read(1 + end - at)",
        "chunk = file.read()",
        hunted_by="tests/ranks/test_pace.py",
    ),
    Mutation(
        "look at every report for the pace",
        "pace",
        "if self.times.room:",
        "if True:",
        hunted_by="tests/ranks/test_pace.py",
    ),
    Mutation(
        "count a task on another node",
        "tally",
        "nodes = np.repeat(self._nodes, self._counts)",
        "nodes = np.repeat(self._nodes[::-1], self._counts[::-1])",
        hunted_by="tests/view/test_tally.py",
    ),
    Mutation(
        "tell nobody what was recorded",
        "journal",
        "        self._watch(batches, rows)\n",
        "",
        hunted_by="tests/ranks/test_witness.py",
    ),
    Mutation(
        "say nothing of failures with --quiet",
        "notices",
        'self.warn(f"next: {told.line}")',
        'self.say(f"next: {told.line}")',
        hunted_by="tests/ranks/test_notices.py",
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
        "digits",
        "np.uint64(0x7676767676767676)",
        "np.uint64(0x7576767676767676)",
        hunted_by="tests/journal/test_digits.py",
    ),
    Mutation(
        "read what stands before a number as a part of it",
        "digits",
        "word &= _KEPT[np.minimum(lengths, _WIDTH)]",
        "word &= _KEPT[np.minimum(lengths + 1, _WIDTH)]",
        hunted_by="tests/journal/test_digits.py",
    ),
    Mutation(
        "take a damaged line of progress for a whole one",
        "progress",
        "if np.all((*right, *rest)) else None",
        "if np.all(right[:1]) else None",
        hunted_by="tests/journal/test_progress.py",
    ),
    Mutation(
        "show the attempts of another task",
        "attempts",
        'mark = b"\\n%d\\t" % seq',
        'mark = b"%d\\t" % seq',
        hunted_by="tests/view/test_attempts.py",
    ),
    Mutation(
        "believe of a line's digits what was seen of others",
        "check",
        'return not _DIGIT.search(_ARGUMENT.sub(b"", text))',
        "return True",
        hunted_by="tests/tasks/test_check.py",
    ),
    Mutation(
        "take a file in quotes for one that is written",
        "repeats",
        "lambda quoted: b'\"' * len(quoted[0]), text)",
        "lambda quoted: quoted[0], text)",
        hunted_by="tests/tasks/test_repeats.py",
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
        "texts",
        "letter if letter.isprintable() else",
        "letter if True else",
        hunted_by="tests/view/test_report.py",
    ),
    Mutation(
        "let a hint hide what the task has said",
        "texts",
        "if line and (not line.startswith(OURS) or not last or last.startswith(OURS)):",
        "if line:",
        hunted_by="tests/view/test_account.py",
    ),
    Mutation(
        "believe a status file whose manager is dead",
        "situation",
        "held.hand is Hand.GONE and not names.done.exists():",
        "False:",
        hunted_by="tests/view/test_situation.py",
    ),
    Mutation(
        "believe the last word of a run that another one has followed",
        "situation",
        "(held.holder.host, held.holder.pid) != (told.run.host, told.run.pid)",
        "False",
        hunted_by="tests/view/test_situation.py",
    ),
    Mutation(
        "let what a task is called move the cursor",
        "board",
        "{shown(command, _MOST_COMMAND)}",
        "{command}",
        hunted_by="tests/view/test_situation.py",
    ),
    Mutation(
        "leave out of the status file that too many failures have stopped it",
        "ending",
        "self._witness.stopping(f",
        "str(f",
        hunted_by="tests/ranks/test_witness.py",
    ),
    Mutation(
        "count a task as failed that has not failed after all",
        "manager",
        "self._witness.revived(action.seqs)",
        "pass",
        hunted_by="tests/ranks/test_witness.py",
    ),
    Mutation(
        "take a task that waits for a slot for one that hangs",
        "seniors",
        "return max(dealt, min(seen, self._queued.get(rank, dealt)))",
        "return dealt",
        hunted_by="tests/ranks/test_witness.py",
    ),
    Mutation(
        "say each suspicion at once",
        "suspicions",
        "            return False\n",
        "            return True\n",
        hunted_by="tests/ranks/test_suspicions.py",
    ),
    Mutation(
        "take any terminal for one of the usual width",
        "terminal",
        "    for pid in _ancestors(proc):\n",
        "    for pid in ():\n",
        hunted_by="tests/site/test_terminal.py",
    ),
    Mutation(
        "stop the farm over its status file",
        "witness",
        "with suppress(OSError):  # nobody's result",
        "with suppress(KeyError):  # nobody's result",
        hunted_by="tests/mpi/test_status.py",
    ),
    Mutation(
        "write a report over the list",
        "report",
        "name.samefile(other)",
        "False",
        hunted_by="tests/view/test_report.py",
    ),
    Mutation(
        "run arguments as commands",
        "claim",
        "    if then is None or (then.each is None) == (each is None):\n",
        "    if True:\n",
        hunted_by="tests/journal/test_each.py",
    ),
    Mutation(
        "forget how arguments became commands",
        "identity",
        " | (_each_words(self.each) if self.each else {})",
        "",
        hunted_by="tests/journal/test_each.py",
    ),
    Mutation(
        "blame the arguments for another template",
        "resume",
        "same = tasklist.was_made_by(then, between)",
        "same = False",
        hunted_by="tests/journal/test_each.py",
    ),
    Mutation(
        "mix two passes over arguments",
        "expanded",
        "            self._at_hand.clear()\n",
        "            pass\n",
        hunted_by="tests/tasks/test_expanded.py",
    ),
    Mutation(
        "make arguments twice to see their end",
        "expanded",
        ">= AT_HAND_BYTES:",
        ">= 1:",
        hunted_by="tests/tasks/test_expanded.py",
    ),
    Mutation(
        "take the header for a record",
        "numbering",
        "    return int(each.header)\n",
        "    return 0\n",
        hunted_by="tests/journal/test_each.py",
    ),
    Mutation(
        "give two long ranges one name",
        "label",
        "elements[: MOST_RANGE - len(mark)] + mark",
        "elements[:MOST_RANGE]",
        hunted_by="tests/tasks/test_label.py",
    ),
    Mutation(
        "take lines of --again for commands, or arguments",
        "which",
        "    if of_arguments:\n",
        "    if False:\n",
        hunted_by="tests/journal/test_each.py",
    ),
    Mutation(
        "read the name of a column as a directive",
        "lint",
        "if directive and directive.number > header and",
        "if directive and",
        hunted_by="tests/journal/test_each.py",
    ),
    Mutation(
        "count the header for GNU Parallel",
        "joblog",
        "there.lines - (lines_before(found.each) if found.each else 0)",
        "there.lines",
        hunted_by="tests/mpi/test_each.py",
    ),
    Mutation(
        "advise no slots at all",
        "live",
        'f"THREADS={max(1, fit)}"',
        'f"THREADS={fit}"',
        hunted_by="tests/view/test_advice.py",
    ),
    Mutation(
        "ask for nodes that a long task cannot use",
        "live",
        "helps = late.nodes < more <= late.nodes * max(1, late.waiting // late.slots)",
        "helps = late.nodes < more",
        hunted_by="tests/view/test_advice.py",
    ),
    Mutation(
        "ask for Slurm's options without Slurm",
        "live",
        "    if not late.in_job:\n",
        "    if False:\n",
        hunted_by="tests/view/test_advice.py",
    ),
    Mutation(
        "forget the node of rank 0 in what is asked for",
        "live",
        "Choice(nodes + end.idle_nodes, seconds)",
        "Choice(nodes, seconds)",
        hunted_by="tests/view/test_advice.py",
    ),
    Mutation(
        "print the name of a list as it is called",
        "live",
        "--failed {texts.quoted(end.name)}",
        "--failed {end.name}",
        hunted_by="tests/view/test_advice.py",
    ),
    Mutation(
        "trust a peak of few tasks",
        "live",
        "room.ended < max(_LEAST_TASKS, room.slots)",
        "room.ended < _LEAST_TASKS",
        hunted_by="tests/view/test_advice.py",
    ),
    Mutation(
        "ask for no more time than is known to be needed",
        "allocation",
        "asked_s = _SPARE * seconds + _START_S",
        "asked_s = seconds",
        hunted_by="tests/view/test_advice.py",
    ),
    Mutation(
        "advise beside the table",
        "bar",
        'left over for the next start"',
        'left over: sbatch again"',
        hunted_by="tests/view/test_advice.py",
    ),
    Mutation(
        "repeat what was meant for one start",
        "typed",
        "if name in _ONCE:",
        "if name in ():",
        hunted_by="tests/test_typed.py",
    ),
    Mutation(
        "print half of the line that started a farm",
        "typed",
        "if is_alone and line.isprintable()",
        "if line.isprintable()",
        hunted_by="tests/test_typed.py",
    ),
    Mutation(
        "tell the end of a suspended job as it was",
        "deadline",
        "            self.end = None if self.end is None else self.end + away_s\n",
        "",
        hunted_by="tests/ranks/test_deadline.py",
    ),
    Mutation(
        "say that somebody has stopped what the limit has",
        "ending",
        "        if self._deadline.stopped:\n            return",
        "        if False:\n            return",
        hunted_by="tests/ranks/test_ending.py",
    ),
    Mutation(
        "call it done what could not be written",
        "ending",
        "    Stop.TROUBLE: Outcome.WORK_LEFT,\n",
        "",
        hunted_by="tests/ranks/test_ending.py",
    ),
    Mutation(
        "say at each report what tasks take of memory",
        "notices",
        "is_short > self._memory_short",
        "is_short",
        hunted_by="tests/ranks/test_notices.py",
    ),
    Mutation(
        "say of a disk that was full that all is done",
        "status",
        "if end.done == end.total and end.stop is Stop.NOTHING:",
        "if end.done == end.total:",
        hunted_by="tests/view/test_status.py",
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


def chosen(names: Sequence[str]) -> list[Mutation]:
    """Return the mutations that are called so, all of them if there are no *names*. Raises ValueError."""
    if unknown := set(names) - {mutation.name for mutation in MUTATIONS}:
        raise ValueError(f"no mutation is called {', '.join(map(repr, sorted(unknown)))}")
    return [mutation for mutation in MUTATIONS if not names or mutation.name in names]


def main(names: Sequence[str]) -> int:
    """Print the table of those that are named, or of all; fail if a bug was not caught."""
    try:
        mutations = chosen(names)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        caught = list(pool.map(hunt, mutations))
    for mutation, how in zip(mutations, caught, strict=True):
        hunter = mutation.hunted_by if mutation.hunted_by.endswith(".py") else f"{SEEDS} seeds"
        print(f"{mutation.name:<45} {mutation.module:<9} {how or f'NOT CAUGHT by {hunter}'}")
    return 0 if all(caught) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
