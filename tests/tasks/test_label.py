"""What a run over a range is called: by the program and the range, never too long, and the same each time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpifarm.tasks import label

PROGRAMS = {
    "./element.sh": "element.sh",
    "SLURM_ARRAY_TASK_ID={} ./element.sh": "element.sh",
    "A={} B='x y' ./run": "run",
    "env OMP_NUM_THREADS=1 bin/sim -t {}": "sim",
    "exec nice ./sim": "sim",
    "python3 fit.py --fold {}": "fit.py",
    "python3.11 ../bin/fit.py {}": "fit.py",
    "python3 -c 'print({})'": "python3",
    "python3 -m fit {}": "python3",
    "bash job.sh {}": "job.sh",
    "sh -c 'echo {}'": "sh",
    "bash": "bash",
    "python3 {}": "python3",
    "{}": "each",
    "command {} {#}": "each",
    "env {1}/run{2}.sh": "run.sh",
    "'./my prog' {}": "my_prog",
    "./my\\ prog {}": "my_prog",
    "/opt/m\u00fcller/s\u00fc\u00df {}": "s__",
    "../": "each",
    "..": "each",
    "./-x": "x",
    "A=1": "each",
    "(cd {} && ./run)": "cd",
    'echo "': "echo",
    "": "each",
}


@pytest.mark.parametrize("template", PROGRAMS)
def test_it_is_the_program_and_the_range(template: str) -> None:
    assert label.of(template, "1-100:5") == f"{PROGRAMS[template]}.1-100:5"


@given(st.text(max_size=200), st.text("0123456789,-:", min_size=1, max_size=300))
def test_it_is_a_short_name_of_a_file(template: str, elements: str) -> None:
    name = label.of(template, elements)
    assert len(name.encode()) <= label.MOST_PROGRAM + 1 + label.MOST_RANGE
    assert name.isascii() and name.isprintable()
    assert "/" not in name and not name.startswith(("-", "."))
    assert label.of(template, elements) == name


def test_long_ranges_that_differ_anywhere_have_other_names() -> None:
    long = ",".join(map(str, range(1, 200, 2)))
    assert len({label.of("./run", text) for text in (long, f"{long},300", long.replace(",9,", ",10,"))}) == 3
