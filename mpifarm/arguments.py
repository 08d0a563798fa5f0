"""What stands on the command line, before argparse reads it: are these options ours, and is there one list?

Why: argparse takes the value of an option that it does not know for the list, and then blames the list. Here the option is
blamed, and answered if it is another program's; argparse is left with what it understands.

The rule: nothing is guessed. A word that can be two things is refused, and both are named.
"""

from __future__ import annotations

import difflib
import os
import re
from collections import deque
from collections.abc import Mapping, Sequence

from mpifarm import FarmError, foreign_options, sources

_ENDS = ("-h", "--help", "--version")  # whatever else is there
_NUMBER = re.compile(r"-\d+|-\d*\.\d+")  # a value, for argparse, too
_HELP = "(see: python -m mpifarm --help)"
_MOST_NEAR = 3


def check(arguments: Sequence[str], options: Mapping[str, bool], values: Sequence[str] = ()) -> None:
    """Raise FarmError if *arguments* are not our *options* (does each take a value?) and the name of one list.

    *values*: what stands behind, from the first ::: on.
    """
    words = deque(arguments)
    lists: list[str] = []
    taken: list[tuple[str, str]] = []  # option, value
    used: list[tuple[str, ...]] = []  # options of ours, as they were typed
    unknown: list[str] = []
    answers: list[str] = []
    while words:
        word = words.popleft()
        if word == "--":
            lists += words
            break
        name, is_assigned, _ = word.partition("=")
        if name in _ENDS:
            return
        if _is_ours(word, options):
            used.append((word,))
            if _takes_next(name, bool(is_assigned), options):
                taken.append((name, _value(name, words)))
                used[-1] = taken[-1]
        elif answer := foreign_options.answer(word):
            answers += [answer] if answer not in answers else []
        elif word.startswith("-") and word != "-":
            unknown.append(word)
        else:
            lists.append(word)
    if unknown or answers:
        raise FarmError("; ".join([*answers, *(_nobodys(word, options) for word in unknown)]))
    if sources.check(used, lists, values):
        _refuse_joblog_file(arguments, lists)
        _one_list(lists, taken)


def _is_ours(word: str, options: Mapping[str, bool]) -> bool:
    """Return whether argparse will find an option in *word*: a whole one, or a letter with its value behind it."""
    return word.partition("=")[0] in options or (options.get(word[:2], False) and not word[2].isalpha())


def _takes_next(name: str, is_assigned: bool, options: Mapping[str, bool]) -> bool:
    """Return whether the next word is the value of the option *name*, which is followed by = if it *is_assigned* one."""
    if is_assigned and name != "--joblog" and not options.get(name, True):
        raise FarmError(f"{name} takes no value: leave out what follows the =")
    return not is_assigned and options.get(name, False)


def _value(name: str, words: deque[str]) -> str:
    if not words or (words[0].startswith("-") and words[0] != "-" and not _NUMBER.fullmatch(words[0])):
        raise FarmError(f"{name} needs a value {_HELP}")
    return words.popleft()


def _nobodys(word: str, options: Mapping[str, bool]) -> str:
    if os.path.lexists(word):
        return f"{word} is taken for an option: for the list of that name write ./{word}"
    name = word.partition("=")[0]
    doubled = f"-{name}"
    near = [doubled] if doubled in options else [option for option in options if option.startswith(name)]
    near = near or difflib.get_close_matches(name, options)
    return f"there is no option {name}{_meant(near[:_MOST_NEAR])} {_HELP}"


def _meant(near: Sequence[str]) -> str:
    return f": is {' or '.join(near)} meant?" if near else ""


def _refuse_joblog_file(words: Sequence[str], lists: Sequence[str]) -> None:
    """Raise FarmError if --joblog has a file, as GNU Parallel's has: here it prints, and a joblog is always written."""
    given = next((word for word in words if word.partition("=")[0] == "--joblog"), "")
    if not given or (len(lists) < 2 and given == "--joblog"):
        return
    behind = words[words.index(given) + 1 :][:1]
    tasklist = next((name for name in lists if given != "--joblog" or [name] != behind), "TASKLIST")
    raise FarmError(
        f"--joblog takes no file, the joblog of a run is always written, to joblog.{os.path.basename(tasklist)}.tfin:"
        f" leave it out to run the list; --joblog {tasklist}, alone, prints it in the columns of GNU Parallel"
    )


def _one_list(lists: Sequence[str], taken: Sequence[tuple[str, str]]) -> None:
    """Raise FarmError if *lists* are not one; *taken* are the values of options, one of which may be the list."""
    if not lists:
        swallowed = next(((name, value) for name, value in taken if os.path.isfile(value)), None)
        if swallowed:
            name, value = swallowed
            raise FarmError(f"there is no task list, since {value} is the value of {name}: write {name} VALUE {value}")
        raise FarmError(f"there is no task list: give the name of a file of shell commands, one a line {_HELP}")
    if len(lists) > 1:
        raise FarmError(_too_many(lists))
    if lists == ["-"] and not os.path.lexists("-"):
        raise FarmError("- is no task list: give the name of a file, since the next run goes on with it")


def _too_many(lists: Sequence[str]) -> str:
    there = [name for name in lists if os.path.isfile(name)]
    if len(there) == 1:
        others = ", ".join(name for name in lists if name != there[0])
        return f"what is {others}? Give the task list alone: {there[0]} {_HELP}"
    first, second = lists[:2]
    one_after_another = f"python -m mpifarm {first} && python -m mpifarm {second}"
    return f"one list a start, not {len(lists)}: {one_after_another}, or all at once: cat {' '.join(lists)} > all.txt"
