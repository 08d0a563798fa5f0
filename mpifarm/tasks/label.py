"""What a run is called whose arguments are a range: there is no file whose name its own could have.

The rule: the program and the range as it was typed, `element.sh.1-1000`; so the same line names the same files, and goes on
with them. The program is the last part of the path of the first word that is neither an assignment nor who starts another
program (`env`, `exec`, `nice`, `nohup`, `time`), nor an interpreter with a script behind it:

    SLURM_ARRAY_TASK_ID={} ./element.sh     element.sh
    env OMP_NUM_THREADS=1 bin/sim -t {}     sim
    python3 fit.py --fold {}                fit.py
    python3 -c 'print({})'                  python3
    command {}                              each

Fields are no part of it, and what is neither a letter nor a digit nor one of `. _ + -` is `_`. A name may be MOST_PROGRAM
characters of the program long and MOST_RANGE of the range; a longer range ends in ~ and its CRC-32.

Two templates may have one name, and so one set of files: what was dealt tells them apart, as if a list had been edited.
"""

from __future__ import annotations

import re
import zlib

MOST_PROGRAM = 60
MOST_RANGE = 60

_NOBODY = "each"
_WORD = re.compile(r"""(?:[^\s'"\\;&|<>()]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+""", re.DOTALL)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")
_STARTERS = ("env", "exec", "command", "nice", "nohup", "time")
_INTERPRETER = re.compile(r"(?:ba|da|k|z)?sh|python[\d.]*|perl|ruby|Rscript|julia|node|octave")
_FIELD = re.compile(r"\{[^{}\s]*\}")
_ODD = re.compile(r"[^\w.+-]", re.ASCII)


def of(template: str, elements: str) -> str:
    """Return the name of a run of *template* over the range *elements*."""
    program = _program([word.group() for word in _WORD.finditer(template)])
    if len(elements) > MOST_RANGE:
        mark = f"~{zlib.crc32(elements.encode()):08x}"
        elements = elements[: MOST_RANGE - len(mark)] + mark
    return f"{program}.{elements}"


def _program(words: list[str]) -> str:
    for at, word in enumerate(words):
        name = _name(word)
        behind = words[at + 1] if at + 1 < len(words) else ""
        is_script = behind and not behind.startswith("-") and _name(behind) != _NOBODY
        if _ASSIGNMENT.match(word) or name in _STARTERS or (_INTERPRETER.fullmatch(name) and is_script):
            continue
        return name
    return _NOBODY


def _name(word: str) -> str:
    """Return what stands for the program *word* in a name of a file."""
    bare = _FIELD.sub("", re.sub(r"""['"\\]""", "", word)).rstrip("/").rpartition("/")[2]
    return _ODD.sub("_", bare)[:MOST_PROGRAM].lstrip("-.") or _NOBODY
