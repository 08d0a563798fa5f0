"""The report as a file: whole, of the kind that its name says, and with nothing in it that others have made to be run."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mpifarm import FarmError, cli
from mpifarm.view import report

from .runs import Ran, Run

SCRIPT = "<script>alert(1)</script>"
EVIL = [
    f"echo '{SCRIPT}' \"&amp; <img src=http://evil.example/x.png onerror=alert(2)>\" {{{{ 7 * 7 }}}}",
    "printf '\x1b[31mred\x1b]0;title\x07' \u202e $x^2$ \\frac",
    "echo ok",
]


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.headings: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attributes]

    def handle_data(self, text: str) -> None:
        if self.tags and self.tags[-1] == "h2" and text.strip():
            self.headings.append(text.strip())


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def evil_run() -> None:
    run = Run(EVIL)
    name = f"n<b>{SCRIPT}</b>$x^$"
    run.add(
        Ran(0, node=name).failed("exit code 1", f'{SCRIPT} "&quot;" \x1b[2J\x9b31m', 1),
        Ran(1, 1).failed("timed out"),
        Ran(2, 2),
    )


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the page, and the sheet that is text, of a run with all that is evil."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("evil"))
        evil_run()
        for name in ("r.html", "r.svg"):
            report.write(name, "tasks.txt")
        return {name: Path(name).read_text() for name in ("r.html", "r.svg")}


def test_the_sections_stand_in_their_order(texts: dict[str, str]) -> None:
    assert Page(texts["r.html"]).headings == [
        "Next time", "Slots over time", "Where the time of the slots went", "Nodes over time", "Run times", "Peak memory",
        "Why tasks failed", "The slowest", "How it was run",
    ]  # fmt: skip


def test_nothing_in_a_page_is_run_or_asked_for(texts: dict[str, str]) -> None:
    text = texts["r.html"]
    page = Page(text)
    assert set(page.tags).isdisjoint({"script", "img", "iframe", "object", "embed", "form", "base", "b", "image"})
    assert [name for name, _ in page.attributes if name.startswith("on") or name == "src"] == []
    links = {value for name, value in page.attributes if name in ("href", "xlink:href")}
    assert {value for value in links if not value.startswith("#")} == {"data:,"}
    assert re.findall(r"url\((?!#)|@import|https?://(?!evil\.example/x\.png onerror)", text) == []
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "{{ 7 * 7 }}" in text


@pytest.mark.parametrize("name", ["r.html", "r.svg"])
def test_no_control_character_reaches_a_page_or_a_sheet(texts: dict[str, str], name: str) -> None:
    assert re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", texts[name]) == []


@pytest.mark.parametrize(("name", "magic"), [pytest.param("r.png", b"\x89PNG", marks=pytest.mark.long), ("r.pdf", b"%PDF")])
def test_a_sheet_is_of_the_kind_that_its_name_says(name: str, magic: bytes) -> None:
    evil_run()
    report.write(name, "tasks.txt")
    assert Path(name).read_bytes().startswith(magic)


@pytest.mark.parametrize("name", ["r.html", pytest.param("r.png", marks=pytest.mark.long)])
def test_a_run_of_which_nothing_has_ended_has_a_report(name: str) -> None:
    Run(["true"])
    report.write(name, "tasks.txt")
    assert Path(name).stat().st_size > 1000
    Path("tasks.txt.tfin").write_text("")
    Path("joblog.tasks.txt.tfin").unlink()
    report.write(name, "tasks.txt")


@pytest.mark.parametrize("name", ["r.txt", "r", "r.html.gz", ".html"])
def test_an_unknown_kind_of_file_is_refused_and_the_known_ones_are_named(name: str) -> None:
    evil_run()
    with pytest.raises(FarmError, match=r"none of \.html, \.png, \.svg, \.pdf"):
        report.write(name, "tasks.txt")


@pytest.mark.parametrize(("package", "name"), [("matplotlib", "r.png"), ("matplotlib", "r.html"), ("jinja2", "r.html")])
def test_a_missing_package_is_one_line_that_names_the_extra(
    package: str, name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    evil_run()
    blocked = ModuleNotFoundError(f"No module named {package!r}", name=package)

    def imported(wanted: str) -> object:
        if wanted == package:
            raise blocked
        return sys.modules[wanted]

    monkeypatch.setattr("mpifarm.view.report.importlib.import_module", imported)
    with pytest.raises(FarmError, match=r"pip install 'mpifarm\[report\]'"):
        report.write(name, "tasks.txt")
    assert not Path(name).exists()


def test_the_list_and_its_files_are_not_written_over() -> None:
    evil_run()
    Path("tasks.txt").rename("tasks.html")
    Path("tasks.txt.tfin").rename("tasks.html.tfin")
    Path("link.html").symlink_to("tasks.html")
    before = Path("tasks.html").read_bytes()
    for name in ("tasks.html", "link.html", "../" + Path.cwd().name + "/tasks.html"):
        with pytest.raises(FarmError, match="the task list or a file of its runs"):
            report.write(name, "tasks.html")
    assert Path("tasks.html").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--report", "r.html", "other.txt"], "mpifarm: no run of other.txt here ("),
        (["--report", "none/r.html", "tasks.txt"], "mpifarm: cannot write --report none/r.html: there is no"),
        (["--report", "r.doc", "tasks.txt"], "mpifarm: --report r.doc: the end of the name"),
        (["--report", "", "tasks.txt"], "mpifarm: --report : the end of the name"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_code_2(
    arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    evil_run()
    before = sorted(path.name for path in Path().iterdir())
    assert cli.main(arguments) == 2
    err = capfd.readouterr().err
    assert err.startswith(said)
    assert err.count("\n") == 1
    assert sorted(path.name for path in Path().iterdir()) == before


def test_a_report_leaves_the_files_of_the_run_as_they_were(capfd: pytest.CaptureFixture[str]) -> None:
    evil_run()
    before = {path.name: path.read_bytes() for path in Path().iterdir()}
    assert cli.main(["--report", "r.svg", "tasks.txt"]) == 0
    after = {path.name: path.read_bytes() for path in Path().iterdir()}
    assert after.pop("r.svg").endswith(b"</svg>\n")
    assert after == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.long
def test_a_report_written_again_is_the_same() -> None:
    evil_run()
    report.write("r.svg", "tasks.txt")
    first = Path("r.svg").read_bytes()
    report.write("r.svg", "tasks.txt")
    assert Path("r.svg").read_bytes() == first


def test_another_programs_joblog_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    evil_run()
    Path("joblog.tasks.txt.tfin").write_text("Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n")
    assert cli.main(["--report", "r.html", "tasks.txt"]) == 2
    assert "joblog.tasks.txt.tfin:1: not the header" in capfd.readouterr().err


@pytest.mark.parametrize(("mib", "slot"), [(16000, "16 GiB"), (1, "1 MiB")])  # beyond either end of what tasks had
def test_peak_memory_stands_against_what_a_node_has_for_a_slot(mib: int, slot: str) -> None:
    evil_run()
    Run(["true"]).add(Ran(0, rss_kib=50_000), Ran(0, 2, rss_kib=60_000))
    start = f"2026-11-30 12:00:00 started: 1 worker on 1 node, 1 slot, {mib} MiB a node, mpifarm 0.1.0\n"
    Path("log.tasks.txt.tfin").write_text(start)
    report.write("r.html", "tasks.txt")
    text = Path("r.html").read_text()
    assert f"A node gives {slot} to 1 slot: {slot} each." in text
    assert text.count(f"a slot has {slot}") == 2  # wide and narrow
