"""How fast short tasks go: N lines `true`, whole processes, against everything that runs lines of shell.

Tasks that do nothing show what a farm costs for each of them, and xargs is what it has to beat: no MPI, no checkpoint, no
output kept, so all that mpifarm does for a task has to be paid for by starting it more cheaply. The C loop, which starts
`sh -c true` and nothing else, is what this kernel can do; nobody gets beyond it, and the share of it says what is left to
gain. `/bin/true` is a command that needs no shell: xargs with sh has to start one all the same, the C loop starts it
directly. Eight slots over two workers are not slower than two only if more parallel work is no more trouble.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from .harness import Cost, Plan, run, take_turns
from .peers import FUTURES, HYPERQUEUE, LOOP, PARALLEL, XARGS, Peers
from .table import Goal, Row

_TWO, _EIGHT, _DIRECT, _XARGS_DIRECT, _LOOP_DIRECT = "two", "eight", "direct", "xargs direct", "loop direct"


def rows(plan: Plan, peers: Peers) -> Iterator[Row]:
    """Measure."""
    count = plan.count(10_000, least=20)
    true, direct = (_tasks(plan, command, count) for command in ("true", "/bin/true"))
    all_ = {
        _TWO: (peers.farm(2, 2, true), None),
        XARGS: (peers.xargs(2), true),
        PARALLEL: (peers.parallel(2), true),
        HYPERQUEUE: (peers.hyperqueue(2, true), None),
        FUTURES: (peers.pool(3, str(true)), None),
        LOOP: (peers.loop(count, 2, "/bin/sh", "-c", "true"), None),
        _EIGHT: (peers.farm(3, 4, true), None),
        _DIRECT: (peers.farm(2, 2, direct), None),
        _XARGS_DIRECT: (peers.xargs(2), direct),
        _LOOP_DIRECT: (peers.loop(count, 2, "/bin/true"), None),
    }
    needed = {_XARGS_DIRECT: XARGS, _LOOP_DIRECT: LOOP}
    absent = peers.missing()
    costs = take_turns(
        plan,
        {
            name: partial(_run, command, stdin, peers)
            for name, (command, stdin) in all_.items()
            if needed.get(name, name) not in absent
        },
    )
    rate = {name: [count / cost.wall_s for cost in rounds] for name, rounds in costs.items()}
    cpu = {name: [1000 * cost.cpu_s / count for cost in rounds] for name, rounds in costs.items()}
    what = f"{count:,} x true, 2 slots"
    goals = {XARGS: Goal(at_least=1.1), PARALLEL: Goal(at_least=5), HYPERQUEUE: Goal(at_least=4)}
    for peer in (XARGS, PARALLEL, HYPERQUEUE, FUTURES, LOOP):
        yield Row(what, "tasks/s", rate[_TWO], peer, rate.get(peer), goals.get(peer))
    for peer in (XARGS, LOOP):
        yield Row(f"{what}: CPU", "ms/task", cpu[_TWO], peer, cpu.get(peer))
    direct_name = f"{count:,} x /bin/true, 2 slots"
    yield Row(direct_name, "tasks/s", rate[_DIRECT], XARGS, rate.get(_XARGS_DIRECT), Goal(at_least=1.6))
    yield Row(direct_name, "tasks/s", rate[_DIRECT], f"{LOOP}, no sh", rate.get(_LOOP_DIRECT))
    eight_name = f"{count:,} x true, 2 x 4 slots"
    yield Row(eight_name, "tasks/s", rate[_EIGHT], "mpifarm, 2 slots", rate[_TWO], Goal(at_least=1.0))


def _tasks(plan: Plan, command: str, count: int) -> Path:
    path = plan.directory / f"{Path(command).name}{len(command)}.txt"
    path.write_text(f"{command}\n" * count)
    return path


def _run(command: list[str], stdin: Path | None, peers: Peers, directory: Path) -> Cost:
    return run(command, directory, peers.environ, stdin)
