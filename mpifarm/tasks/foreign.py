"""Words of other farms in a list: directives, variables, fields. What they are called here.

Why: `#DISBATCH BARRIER` is a comment for the shell, `$LAUNCHER_JID` an empty word, `{}` a word like any other. To run such
a list as it stands is to give a wrong order, or all results in one place, with exit code 0.

The rule: nothing is translated. What somebody meant is found, and our word for it is said; where a line can be read in two
ways, both are named.

Directives stand in comments, so they are looked for in the whole list: a chunk without # costs one search for a character.

    #DISBATCH BARRIER              at the beginning of a line
    ./fit 17  #HYPERSHELL: cores:4      behind a task, where the shell sees a comment: a quoted one is none
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator

from mpifarm.tasks.quoting import BYTE_ORDER_MARK, Line, Part, read

_NAMES = rb"#(?:[ \t]*HYPERSHELL(?=[:\s]|$)|(?:DISBATCH|METAQ|HQ|SBATCH)(?=\s|$)|(?i:mpifarm)\b)"
_DIRECTIVE = re.compile(_NAMES)
_WORD = re.compile(rb"(?<![^ \t;&|()])" + _NAMES)
_OWNERS = {"DISBATCH": "disBatch's", "HYPERSHELL": "HyperShell's", "METAQ": "METAQ's", "HQ": "HyperQueue's"}

_SECOND_LIST = "what must come after goes into a second list: python -m mpifarm first.txt && python -m mpifarm second.txt"
_OURS = (
    (r"BARRIER|group|after\w*|deps", f"lines have no order here, {_SECOND_LIST}"),
    (
        r"PREFIX|SUFFIX",
        (
            "nothing is put around lines that are commands: sed 's|.*|PREFIX & SUFFIX|' FILE > tasks.txt does that; if each"
            " line is one argument, --each 'PREFIX {} SUFFIX' FILE does"
        ),
    ),
    (r"REPEAT|array", "each number of a range is a task by --each './sim.sh {}' 1-20"),
    (r"PERENGINE", "nothing is run once a node here, start it with srun before the farm"),
    (
        r"cores|cpus\w*|mem\w*|nodes|gpus\w*",
        "every task gets one slot of its node here, --threads N says how many there are",
    ),
    (r"timeout|time-limit|walltime", "the limit of all tasks is --timeout TIME"),
    (r"time-request|MIN_WC_TIME", "the time that must be left for a task to start is --time-request TIME"),
    (r"retries|crash-limit", "how often a failed task is tried again is --retries N"),
)

_REPEAT = re.compile(
    r"#DISBATCH REPEAT\s+(\d{1,15})(?:\s+start\s+(\d{1,15}))?(?:\s+step\s+(\d{1,15}))?\s+(\S.*)", re.IGNORECASE | re.ASCII
)
_INDEX = re.compile(r"\$(?:DISBATCH_REPEAT_INDEX\b|\{DISBATCH_REPEAT_INDEX\})")

VARIABLES = (
    rb"(?:LAUNCHER|DISBATCH|PYL|HQ|PARALLEL)_\w+|(?:SLURM|PBS)_ARRAY\w+|SGE_TASK_ID|LSB_JOBINDEX"  # of job arrays, too
)
_VARIABLE = re.compile(rb"\$(?:\{[#!]?)?(" + VARIABLES + rb")\b(?!:?\?)")  # ${X?} ends the task if X is not set
_FOR_ONE = rb"(?:^|[;&|(])[ \t]*(?:\w+=[^\s;&|]*[ \t]+)*%b=[^\s;&|]*[ \t]+[^\s;&|#][^;&|]*\$\{?%b\b"  # X=1 ./prog $X
_FIELD = re.compile(rb"(?<![@\])])\{(?:[#%]|/?[./]?|\d+[./]{0,2})\}")  # not of x@{1}, [0-9]{4}
_FIELD_USERS = re.compile(
    rb"(?<![\w.-])(?:find|xargs|parallel|fd|fdfind|rush)(?![\w.-])|(?<![\w-])-(?:exec|execdir|ok|okdir|I)(?![\w-])|-I\{"
)


def directives(lines: bytes, dash: bool) -> Iterator[tuple[int, bytes]]:
    """Yield where the lines with directives begin in *lines*, and the directives, ours among them."""
    at = 0
    while found := _DIRECTIVE.search(lines, at):
        begin = lines.rfind(b"\n", 0, found.start()) + 1
        at = lines.find(b"\n", begin)
        at = len(lines) if at < 0 else at
        text = lines[begin:at].removesuffix(b"\r").removeprefix(BYTE_ORDER_MARK)
        here = _DIRECTIVE.match(text) if text.startswith(b"#") else _behind(text, dash)
        if here:
            yield begin, text[here.start() :]


def _behind(text: bytes, dash: bool) -> re.Match[bytes] | None:
    """Return where a directive stands behind a task; where the shell's comment begins is not always known."""
    line = read(text, dash)
    return _WORD.search(text, line.end if line.sure else 0)


def is_for_slurm(directive: bytes) -> bool:
    """Return whether it is one that at the head of a list does no harm: of a batch script, that sbatch has read."""
    return directive.startswith(b"#SBATCH")


def advice(directive: bytes) -> str:
    """Return whose *directive* this is, and what to write here."""
    text = directive.decode(errors="replace")
    if repeat := _REPEAT.match(text):
        return f"is disBatch's: each number of a range is a task here: {_each_of(repeat)}"
    name, _, words = text.lstrip("# \t").replace(":", " ", 1).partition(" ")
    if is_for_slurm(directive):
        return "is read by sbatch, and only at the head of a batch script: put it there"
    ours = [here for pattern, here in _OURS if re.search(rf"(?:(?<![\w-])|--)(?:{pattern})(?![\w-])", words, re.IGNORECASE)]
    whose = f"is {_OWNERS[name]}" if name in _OWNERS else "means nothing yet: this version knows no #mpifarm words"
    return f"{whose}: {'; '.join(ours) or 'there is no such word here, take it out'}"


def _each_of(repeat: re.Match[str]) -> str:
    """Return our line for a REPEAT: `REPEAT 20 start 5 step 2 COMMAND` is COMMAND with 5, 7, ... 43."""
    times, start, step, command = int(repeat[1]), int(repeat[2] or 0), int(repeat[3] or 1), repeat[4].strip()
    steps = f":{step}" if step > 1 else ""
    elements = f"{start}-{start + (times - 1) * step}{steps}" if times > 1 else str(start)
    with_field = _INDEX.sub("{}", command)
    if with_field == command or "'" in command or '"' in command:  # in quotes a field is another thing
        with_field = f"export DISBATCH_REPEAT_INDEX={{}}; {command}"
    return f"python -m mpifarm --each {shlex.quote(with_field)} {elements}"


def variable(line: Line, known: Collection[str]) -> str | None:
    """Return what to say of the first variable of another farm or a job array in *line* that is not *known* to be set."""
    if not _VARIABLE.search(line.text):
        return None
    text = line.only(Part.CODE, Part.NESTED, Part.TEXT, Part.ARITHMETIC)
    for name in dict.fromkeys(_VARIABLE.findall(text)):
        if re.search(_FOR_ONE % (name, name), text):
            shown = name.decode()
            return (
                f"{shown}= before a program is for that alone, ${shown} is looked up before: write {shown}=...; before it"
            )
        set_here = re.search(rb"\b%b\+?=|\b(?:for|read)\b.*\b%b\b" % (name, name), line.text)
        if name.decode() not in known and not set_here:
            return f"${name.decode()} is set by others, and by nobody here: {_our_variable(name.decode())}"
    return None


def _our_variable(name: str) -> str:
    if name == "LAUNCHER_TSK_ID":  # not a task, in spite of its name
        return (
            "which slot runs a task is told by $MPIFARM_SLOT, from 1 on each $MPIFARM_NODE; for a number that no other task"
            " has take $MPIFARM_SEQ, from 1"
        )
    if name == "HQ_ENTRY":
        return "it has a line of a file by --each 'HQ_ENTRY={} ./prog' FILE"
    if "SLOT" in name:
        return "the slot of a task is $MPIFARM_SLOT"
    if "INSTANCE" in name:
        return "which attempt this is, from 1, is $MPIFARM_ATTEMPT"
    if name.endswith(("PPN", "NPROCS")):
        return "the number of slots of a node is $MPIFARM_THREADS"
    if name.endswith(("NJOBS", "NHOSTS", "COUNT")):
        return "a task is not told how many there are, write the number into the line"
    if "ARRAY" in name or "REPEAT" in name or name in ("SGE_TASK_ID", "LSB_JOBINDEX"):
        each = f"--each '{name}={{}} ./prog' 1-1000"
        return f"the number of a task, from 1, is $MPIFARM_SEQ; a program that reads it has one of a range by {each}"
    return "the number of a task, from 1, is $MPIFARM_SEQ"


def replacement(line: Line) -> str | None:
    """Return what to say of the first field that GNU Parallel or xargs would replace in *line*, and nobody here does."""
    if b"{" not in line.text or _FIELD_USERS.search(line.text):
        return None
    found = _FIELD.search(line.only(Part.CODE, Part.NESTED))
    if not found:
        return None
    field = found[0].decode()
    ours = {"{#}": "write $MPIFARM_SEQ, the task's number", "{%}": "write $MPIFARM_SLOT, the task's slot"}
    instead = ours.get(
        field, "write the argument into each line, or the template into --each and the arguments into the list"
    )
    return f"nothing is put in the place of {field} here: {instead} (quote it, '{field}', if it stands for itself)"
