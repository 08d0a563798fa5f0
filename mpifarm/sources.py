"""Where a template has its values from: `::: a b ::: 1 2`, `:::: FILE`, `--params FILE`, or a list, on the command line.

Why: from the first ::: on all words are values, as with GNU Parallel, also those that begin with a dash; argparse would
take them for options. And who comes from there types ::: for a run, which cannot have it: a run is known by the name of its
list, to go on with it.

The rule: nothing is guessed. Whoever can be answered with the line to type is given it, quoted for a shell.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from mpifarm import FarmError
from mpifarm.tasks.combinations import OPERATORS

EXPAND, EACH, PARAMS = "--expand", "--each", "--params"

_US = "python -m mpifarm"
_OF_A_LIST = (EXPAND, "--colsep", "--header", PARAMS)
_OF_ANYTHING = ("--no-mpi", "--quiet")
_EXAMPLE = f"{_US} {EXPAND} './run {{1}} {{2}}' ::: a b ::: 1 2 > tasks.txt"
_SOURCES = f"{_EXAMPLE}; or :::: FILE, {PARAMS} FILE.csv, or a FILE or a range, 1-1000, alone"

Used = Sequence[Sequence[str]]  # options as they were typed, each with its value


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words of a command line up to the first ::: (or ::::, :::+, ::::+), and those from there on."""
    at = next((place for place, word in enumerate(words) if word in OPERATORS), len(words))
    return list(words[:at]), list(words[at:])


def check(used: Used, lists: Sequence[str], values: Sequence[str]) -> bool:
    """Return whether one of *lists* is needed. Raises FarmError if what was given does not go together.

    *used*: the options; *values*: all from the first ::: on.
    """
    given = {option[0].partition("=")[0]: option for option in used}
    if EXPAND in given:
        return _check_expand(given, used, lists, values)
    if PARAMS in given:
        raise FarmError(_params_alone(given[PARAMS], EACH in given))
    if values:
        raise FarmError(_no_run(given, used, lists, values))
    return True


def _check_expand(given: dict[str, Sequence[str]], used: Used, lists: Sequence[str], values: Sequence[str]) -> bool:
    if EACH in given:
        raise FarmError(f"{EACH} runs what {EXPAND} prints, and runs nothing: give one of them")
    foreign = next((option for option in used if option[0].partition("=")[0] not in (*_OF_A_LIST, *_OF_ANYTHING)), None)
    if foreign:
        name, typed = foreign[0].partition("=")[0], shlex.join([*foreign, "tasks.txt"])
        raise FarmError(
            f"{name} is not for {EXPAND}, which prints a list and runs nothing: give it to the start of that list,"
            f" {_US} {typed}"
        )
    named = [word for word in (values[0] if values else "", PARAMS if PARAMS in given else "") if word]
    if lists and (named or len(lists) > 1):
        raise FarmError(_what_is(given[EXPAND], lists, named, values))
    if len(named) > 1:
        raise FarmError(f"{PARAMS} is one list of values, and {values[0]} gives others: leave one of them out")
    if not (lists or named):
        raise FarmError(f"{EXPAND} needs values: {_SOURCES}")
    return not named


def _what_is(expand: Sequence[str], lists: Sequence[str], named: Sequence[str], values: Sequence[str]) -> str:
    what = " ".join(lists)
    if named:
        template = " ".join([_value(expand), *lists])
        meant = shlex.join([EXPAND, template, *values])
        whole = f", or is it part of the template? Then quote that: {_US} {meant}" if values else ""
        return f"what is {what}? The values are those of {named[0]}: leave it out{whole}"
    files = " ".join(f":::: {shlex.quote(name)}" for name in lists)
    return f"one file of values, not {len(lists)}: for all combinations of their lines {_US} {shlex.join(expand)} {files}"


def _params_alone(params: Sequence[str], each: bool) -> str:
    file = shlex.quote(_value(params))
    if each:
        return f"{PARAMS} is for {EXPAND}; with {EACH} the file is the list: {EACH} TEMPLATE --header {file}"
    return f"{PARAMS} has the values of a template: {_US} {EXPAND} './run {{1}}' {PARAMS} {file} > tasks.txt"


def _no_run(given: dict[str, Sequence[str]], used: Used, lists: Sequence[str], values: Sequence[str]) -> str:
    """Return what to type in place of a run whose values are words of the command line."""
    sign = values[0]
    template = _value(given[EACH]) if EACH in given else " ".join(lists)
    if not template:
        return f"{sign} gives values to a template: {_EXAMPLE}"
    of_list = [word for option in used if option[0].partition("=")[0] in _OF_A_LIST for word in option]
    of_run = [word for option in used if option[0].partition("=")[0] not in (*_OF_A_LIST, EACH) for word in option]
    write = f"{_US} {shlex.join([EXPAND, template, *of_list, *values])} > tasks.txt"
    run = f"{_US} {shlex.join([*of_run, 'tasks.txt'])}"
    return f"a run goes by the name of its list, and {sign} has none: write the list, then run it: {write} && {run}"


def _value(option: Sequence[str]) -> str:
    return option[1] if len(option) > 1 else option[0].partition("=")[2]
