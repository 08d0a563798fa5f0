"""What bash knows and dash does not, in a line.

Why: where /bin/sh is dash, `{1..3}` stays as it is, `$RANDOM` is empty, and `cmd &> file` is `cmd & > file`: exit code 0,
all three of them. The rest fails, and does not say why.

The rule: a remark, never a refusal. So what is looked for are patterns in the parts of the line that are code; no shell is
asked.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from mpifarm.tasks.quoting import COMMAND, Line, Part

COMMANDS = (*b"[[ source function declare typeset let pushd popd shopt mapfile readarray disown coproc select".split(),)

_OF_BASH = re.compile(COMMAND + rb"(" + b"|".join(map(re.escape, COMMANDS)) + rb")(?=[ \t;]|$)")
_IN_CODE = (
    (re.compile(rb"\{[\w+-]+\.\.[\w.+-]+\}|\{[^\s{},]*,[^\s{}]*\}"), None),
    (re.compile(rb"[<>]\("), "<( )"),
    (re.compile(rb"<<<"), "<<<"),
    (re.compile(rb"(?<!\|)\|&"), "|&"),
    (re.compile(rb"\$'"), "$' '"),
    (re.compile(rb"\b\w+\+?=\("), "arrays, x=( )"),
    (re.compile(COMMAND + rb"(?:\[|test)[ \t][^;&|]*[ \t]==(?=[ \t])"), "== in [ ], but ="),
    (re.compile(COMMAND + rb"echo[ \t]+-[neE]*[eE][neE]*(?=[ \t]|$)"), "echo -e, and prints the -e"),
)
_BACKGROUND = re.compile(rb"(?<!&)&>>?")
_PARAMETER = re.compile(rb"\$\{(?:#?\w+(?:[/^,@\[]|:[ \t]*[\d$(])|!\w)")
VARIABLES = rb"(S?RANDOM|SECONDS|HOSTNAME|HOSTTYPE|OSTYPE|MACHTYPE|E?UID|GROUPS|BASHPID|BASH_\w+|PIPESTATUS|EPOCH\w+)\b"
_VARIABLE = re.compile(rb"\$\{?" + VARIABLES)
_NUMBER = re.compile(rb"\b" + VARIABLES)
_MAYBE = re.compile(rb"[{\[<&$(|]|==|-[neE]+\b|" + b"|".join(re.escape(command) for command in COMMANDS))


def bashism(line: Line, known: Collection[str]) -> str | None:
    """Return what dash does not know, or takes for something else, in *line*; *known*: variables that are set."""
    if not _MAYBE.search(line.text):
        return None
    code = line.only(Part.CODE, Part.NESTED)
    if found := _BACKGROUND.search(code):
        operator = found[0].decode()
        return f"takes {operator} for & {operator[1:]}: in the background, done at once; write {operator[1:]} FILE 2>&1"
    if any(part is Part.ARITHMETIC and line.text.startswith(b"((", at) for part, at, _ in line.parts):
        return "does not know (( ))"
    if found := _OF_BASH.search(code):
        return f"does not know {found[1].decode()}"
    for pattern, name in _IN_CODE:
        if found := pattern.search(code):
            return f"does not know {name or found[0].decode(errors='replace')}"
    return _expansion(line, known)


def _expansion(line: Line, known: Collection[str]) -> str | None:
    text = line.only(Part.CODE, Part.NESTED, Part.TEXT, Part.ARITHMETIC)
    if found := _PARAMETER.search(text):
        return f"does not know {found[0].decode(errors='replace')}...}}"
    numbers = _NUMBER.finditer(line.only(Part.ARITHMETIC))
    for match in (*_VARIABLE.finditer(text), *numbers):
        if (name := match[1].decode()) not in known:
            return f"does not know ${name}"
    return None
