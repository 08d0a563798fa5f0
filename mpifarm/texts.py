"""The texts of others, as they are shown: commands, what tasks have printed, names of files and nodes.

The rule: they are anybody's. Whatever of them is shown is one line, not long, and has no character that does something to a
terminal or turns the line around; it is cut and escaped here, and so in the same way everywhere. That nothing in it does
anything to a page is up to the page.
"""

from __future__ import annotations

import re
import shlex

LONGEST = 240  # characters
LONGEST_LINE = 160  # characters of a line that stands beside others in a message
OURS = b"mpifarm: "  # at the start of a hint of `why`, behind what the task has printed

_LETTER_BYTES = 4  # at most, as UTF-8
_LOOK_BYTES = 1024  # at the end of a standard error
_LINE_ENDS = re.compile(rb"[\r\n]+")  # a carriage return ends one, too: that is a progress bar
_DIGITS = re.compile(r"\d+")


def shown(text: bytes | str, most: int = LONGEST) -> str:
    """Return *text* as one line of what can be printed, or as much of its beginning as *most* characters hold."""
    if isinstance(text, bytes):
        text = text[: (most + 1) * _LETTER_BYTES].decode(errors="backslashreplace")
    line = text[: most + 1].replace("\t", " ")
    if not line.isprintable():
        line = "".join(letter if letter.isprintable() else _escaped(letter) for letter in line)
    return line if len(line) <= most else f"{line[: most - 3]}..."


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii")


def later(last: bytes, text: bytes) -> bytes:
    """Return what is the last line when *text*, whole lines, follows the one that was the *last* so far.

    That is the last one that is not blank, rather one of the task itself than a hint of ours; as much of it as is shown.
    """
    for piece in _LINE_ENDS.split(text) if b"\r" in text or b"\n" in text else (text,):
        line = piece.strip()
        if line and (not line.startswith(OURS) or not last or last.startswith(OURS)):
            last = line[: (LONGEST + 1) * _LETTER_BYTES]
    return last


def last_line(err: bytes | memoryview) -> str:
    """Return the last line of a standard error, as it is shown; empty if nothing was said."""
    return shown(later(b"", bytes(err[-_LOOK_BYTES:])), LONGEST_LINE)


def gist(line: str) -> str:
    """Return a *line* of standard error with # for its digits: the names of a thousand files that are missing are one."""
    return _DIGITS.sub("#", line)


def quoted(word: str) -> str:
    """Return a *word*, such as the name of a file, as a shell reads it, in what can be printed.

    Of what cannot be printed only bash and zsh know how it is written: $'...'.
    """
    if word.isprintable():
        return shlex.quote(word)
    plain = "".join(
        f"\\{letter}" if letter in "\\'" else letter
        if letter.isprintable() else "".join(f"\\x{byte:02x}" for byte in letter.encode(errors="surrogateescape"))
        for letter in word
    )  # fmt: skip
    return f"$'{plain}'"
