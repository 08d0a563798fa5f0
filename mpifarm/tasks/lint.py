"""What is said of a list before it is run: what it is refused for, and what is remarked upon.

The rule: `check` judges, this speaks, with the line's number, and with the option that runs the list all the same. It
changes nothing, and comes before anything of an earlier run is touched.
"""

from __future__ import annotations

from pathlib import Path

from mpifarm import FarmError
from mpifarm.settings import Config, Each
from mpifarm.tasks import check, span, starters
from mpifarm.tasks.check import Found, Kind, Watch
from mpifarm.tasks.grammar import parse
from mpifarm.tasks.numbering import lines_before
from mpifarm.tasks.quoting import BYTE_ORDER_MARK, read
from mpifarm.tasks.scan import Scan
from mpifarm.tasks.tasklist import Tasklist, open_list


def is_dash(shell: str) -> bool:
    """Return whether *shell* is dash; what else it may be reads a line much as bash does."""
    return Path(shell).resolve().name == "dash"


def into_script(said: str, tasklist: Path, first: int, last: int, shell: str | None) -> str:
    """Return what is *said* of a line, with how to put the task that it begins, up to line *last*, into a script."""
    word = "sh" if shell in (None, "/bin/sh") else str(shell)
    why = said.removesuffix(check.ADVICE_ONE_LINE)
    return f"{why}{span.advice(why, str(tasklist), first, last, word)}"


def refuse_encoding(tasklist: Tasklist) -> None:
    """Raise FarmError if the list is text that no shell can read."""
    encoding = encoding_of(tasklist.path, tasklist.each)
    if encoding:
        advice = f"iconv -f {encoding} -t UTF-8 {tasklist.path} > new.txt makes a list of it"
        raise FarmError(f"{tasklist.path} is text in {encoding}, which no shell reads: {advice}")


def encoding_of(path: Path, each: Each | None) -> str | None:
    """Return the name of the encoding of a list, of commands or arguments, if no shell can read it. Raises FarmError."""
    if each and each.elements:
        return None
    with open_list(path) as source:
        return check.encoding(source.read(check.HEAD_BYTES))


def refuse_words(config: Config, tasklist: Tasklist, watch: Watch, scan: Scan) -> None:
    """Raise FarmError for what *watch* has seen in the whole list."""
    directive = watch.directive or (None if scan.tasks else watch.at_head)
    header = lines_before(tasklist.each) if tasklist.each else 0  # may be called as somebody else's directive is
    if directive and directive.number > header and not config.ignore_directives:
        where = f"{tasklist.path}:{directive.number}"
        raise FarmError(f"{where}: {directive.said}; or give --ignore-directives to run the list as if it were not there")
    if watch.stray_return and not config.anyway:
        where = f"{tasklist.path}:{watch.stray_return.number}"
        raise FarmError(f"{where}: {watch.stray_return.said}; or give --anyway to run the list as it stands")


def remarks(config: Config, tasklist: Tasklist, dash: bool) -> list[str]:
    """Read the two ends of the list as a shell does, and return what is to remark upon. Raises FarmError."""
    parts = tasklist.ends(check.LOOK_BYTES)
    found = check.look(parts, dash, config.variables)

    def told(what: Found) -> str:
        number, said = tasklist.number_at(what.at), what.said
        where = str(number)
        if what.more and not tasklist.each:  # what one line of arguments has become does not go on in the next
            said = into_script(said, tasklist.path, number, number + what.more, config.shell)
            where = f"{number}-{number + what.more}"
        return f"{tasklist.path}:{where}: {said}{_more(what.count - 1, exact=len(parts) == 1)}"

    accepted = {kind for kind in check.REFUSED if config.anyway}
    if config.ignore_directives:
        accepted.add(Kind.FOREIGN)
    waiting = _waiting(parts, dash) if config.steps_wait else None
    refused = [found[kind] for kind in check.REFUSED if kind in found and kind not in accepted]
    if refused:
        first = min(refused, key=lambda what: what.at)
        option = "--ignore-directives" if first is found.get(Kind.FOREIGN) else "--anyway"
        raise FarmError(f"{told(first)}; or give {option} to run the list as it stands")
    remarked = [what for kind, what in found.items() if kind not in check.REFUSED]
    return [*_arguments(tasklist), *(told(what) for what in (*remarked, waiting) if what)]


def _arguments(tasklist: Tasklist) -> list[str]:
    if tasklist.hash_at is None:
        return []
    told = "it begins with #, and is an argument like any other, not a comment"
    return [f"{tasklist.path}:{tasklist.hash_at}: {told}"]


def _waiting(parts: list[tuple[int, bytes]], dash: bool) -> Found | None:
    """Return the first line whose step would wait for the farm's."""
    for start, lines in parts:
        at = start
        for text in lines.split(b"\n"):
            if said := step_of(text.removeprefix(BYTE_ORDER_MARK), dash):
                return Found(at, said, count=1)
            at += len(text) + 1
    return None


def step_of(text: bytes, dash: bool) -> str | None:
    """Return what to say of a line if it starts a step that would wait for the farm's."""
    if starters.STARTER.search(text) and (line := read(text, dash)).sure:
        for command in parse(line).simple:
            if said := starters.advice(b" ".join(command.words)):
                return f"{check.shown(text)}: {said}"
    return None


def _more(count: int, exact: bool) -> str:
    if not count:
        return ""
    return f" ({'' if exact else 'at least '}{count} more such line{'s' if count > 1 else ''})"
