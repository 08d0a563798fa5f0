"""Nodes on which everything fails: who is blamed, and who is let off."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from simfarm import LENGTH, Farm

from mpifarm.schedule.answers import Action, Grant, Outcome, Verdict
from mpifarm.schedule.quarantine import (
    LONGEST_PAUSE_S,
    PAUSE_S,
    ROUNDS,
    SICK_PAUSE_S,
    Fitness,
    Judged,
    Quarantine,
    slots_by_node,
)

SICK, WELL = 1, 2


class Judges(Farm):
    """A farm that keeps what was thought of its nodes, and what they were given while they were not fit."""

    def __init__(self, tasks: int, nodes: dict[int, str], slots: int = 1, retries: int = 2) -> None:
        self.judged: list[Judged] = []
        self.tried: list[tuple[float, int]] = []  # when, and which task
        self.nodes = nodes
        super().__init__(tasks, nodes, slots, retries=retries)

    def take(self, actions: list[Action]) -> None:
        self.judged += (action for action in actions if isinstance(action, Judged))
        unfit = {node for node, fitness in dict(self.thought).items() if fitness is not Fitness.FIT}
        for action in actions:
            if isinstance(action, Grant) and self.nodes[action.rank] in unfit:
                self.tried += ((self.now, offset) for offset in action.offsets)
        super().take(actions)

    @property
    def thought(self) -> list[tuple[str, Fitness]]:
        return [(change.node, change.fitness) for change in self.judged]

    def fail_all(self, rank: int) -> None:
        for offset in list(self.held[rank]):
            self.end(rank, offset, bad=True)

    def run(self, bad: set[int], sick: int | None = None) -> None:
        """Run to the end: *bad* tasks (offsets) fail everywhere, and all of them on the rank that is *sick*."""
        while self.outcome is None:
            self.ask_all()
            for rank in self.held:
                for offset in list(self.held[rank]):
                    self.end(rank, offset, bad=rank == sick or offset in bad)
            self.tick(after_s=1.0)


def suspect() -> Judges:
    """Return a farm of two nodes of one slot each, whose rank 1 has failed so often that it is suspected; 2 still works."""
    farm = Judges(20, {SICK: "a", WELL: "b"})
    farm.ask_all()
    for _ in range(ROUNDS):
        farm.fail_all(SICK)
        farm.ask(SICK)
        farm.tick()
    assert farm.thought == [("a", Fitness.SUSPECTED)]
    return farm


def test_a_suspected_node_gets_nothing_and_what_failed_there_goes_to_another_node_first() -> None:
    farm = suspect()
    assert not farm.held[SICK]
    failed = [offset for offset in farm.order if offset not in farm.held[WELL]]
    farm.end(WELL, next(iter(farm.held[WELL])))
    farm.ask(WELL)
    farm.tick()
    assert list(farm.held[WELL]) == failed[:1]
    assert not farm.held[SICK]


def test_a_node_whose_tasks_succeed_elsewhere_is_in_quarantine_and_no_task_is_charged_for_it() -> None:
    farm = Judges(50, {SICK: "a", WELL: "b"}, slots=2, retries=0)
    farm.run(bad=set(), sick=SICK)
    assert farm.thought == [("a", Fitness.SUSPECTED), ("a", Fitness.SICK)]
    assert farm.outcome is Outcome.ALL_SUCCEEDED
    assert sorted(farm.succeeded) == [number * LENGTH for number in range(50)]


def test_a_node_whose_tasks_fail_elsewhere_too_is_released() -> None:
    farm = suspect()
    farm.end(WELL, next(iter(farm.held[WELL])))
    for _ in range(ROUNDS):
        farm.ask(WELL)
        farm.tick()
        farm.fail_all(WELL)
    farm.ask(SICK)
    farm.tick()
    assert farm.thought == [("a", Fitness.SUSPECTED), ("a", Fitness.FIT)]
    assert farm.held[SICK]


def test_a_success_of_its_own_releases_a_node() -> None:
    farm = Judges(20, {SICK: "a", WELL: "b"}, slots=2)
    farm.ask_all()
    slow, quick = farm.held[SICK]
    for _ in range(ROUNDS * 2):
        farm.end(SICK, quick, bad=True)
        farm.ask(SICK)
        farm.tick()
        quick = next((offset for offset in farm.held[SICK] if offset != slow), quick)
    assert farm.thought == [("a", Fitness.SUSPECTED)]
    farm.end(SICK, slow)
    farm.ask(SICK)
    farm.tick()
    assert farm.thought[1:] == [("a", Fitness.FIT)]
    assert farm.held[SICK]


def wait(farm: Judges, until: float, *ranks: int) -> None:
    """Let the time pass, with *ranks* asking for what they may have."""
    while farm.now < until:
        for rank in ranks:
            farm.ask(rank)
        farm.tick(after_s=1.0)


def test_while_the_others_are_busy_a_suspected_node_is_tried_with_another_task_and_a_success_releases_it() -> None:
    farm = suspect()
    failed = [offset for offset in farm.order if offset not in farm.held[WELL]]
    wait(farm, PAUSE_S, SICK)
    (tried,) = farm.held[SICK]
    assert tried not in failed
    farm.end(SICK, tried)
    farm.ask(SICK)
    farm.tick()
    assert farm.thought[1:] == [("a", Fitness.FIT)]
    assert farm.held[SICK]


def test_what_fails_on_probation_is_never_charged_and_the_pauses_grow_up_to_a_bound() -> None:
    farm = Judges(20, {SICK: "a", WELL: "b"}, retries=0)
    farm.ask_all()
    while farm.now < 10 * LONGEST_PAUSE_S:
        for offset in list(farm.held[SICK]):
            farm.end(SICK, offset, bad=True)
        farm.schedule.heard_of(WELL, farm.now)
        farm.ask(SICK)
        farm.tick(after_s=1.0)
    assert farm.schedule.counts.failed == 0
    times = [when for when, _ in farm.tried]
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert pauses == sorted(pauses)
    assert 2 * PAUSE_S <= pauses[0] <= 2 * PAUSE_S + 1
    assert LONGEST_PAUSE_S <= pauses[-1] <= LONGEST_PAUSE_S + 1


def test_a_task_on_probation_that_takes_long_is_joined_by_others() -> None:
    farm = Judges(100, {SICK: "a", WELL: "b"}, slots=8)
    farm.ask_all()
    while not farm.thought:
        farm.fail_all(SICK)
        farm.ask(SICK)
        farm.tick()
    running = []
    for _ in range(5):
        running.append(len(farm.held[SICK]))
        wait(farm, farm.now + PAUSE_S, SICK)
    assert running == [0, 1, 2, 4, 8]
    first, *others = farm.held[SICK]
    farm.end(SICK, first, bad=True)
    wait(farm, farm.now + PAUSE_S, SICK)
    assert list(farm.held[SICK]) == others, "one has failed: the next comes later, and alone"
    wait(farm, farm.now + PAUSE_S + 1, SICK)
    assert len(farm.held[SICK]) == len(others) + 1


def test_a_sick_node_that_is_well_again_is_released_after_a_pause() -> None:
    farm = suspect()
    for _ in range(ROUNDS + 1):
        farm.end(WELL, next(iter(farm.held[WELL])))
        farm.ask(WELL)
        farm.tick()
    assert farm.thought[1:] == [("a", Fitness.SICK)]
    wait(farm, SICK_PAUSE_S, SICK)
    assert len(farm.held[SICK]) == 1
    farm.end(SICK, next(iter(farm.held[SICK])))
    farm.ask(SICK)
    farm.tick()
    assert farm.thought[2:] == [("a", Fitness.FIT)]
    assert farm.held[SICK]


def test_what_a_node_was_given_on_trial_releases_it_though_it_was_found_sick_meanwhile() -> None:
    farm = suspect()
    wait(farm, PAUSE_S, SICK)
    (tried,) = farm.held[SICK]
    for _ in range(ROUNDS + 1):
        farm.end(WELL, next(iter(farm.held[WELL])))
        farm.ask(WELL)
        farm.tick()
    assert farm.thought[1:] == [("a", Fitness.SICK)]
    farm.end(SICK, tried)
    farm.ask(SICK)
    farm.tick()
    assert farm.thought[2:] == [("a", Fitness.FIT)]


def test_what_fails_on_a_node_on_probation_says_nothing_about_another_one() -> None:
    quarantine = Quarantine()
    slots = slots_by_node([("a", 1), ("b", 1), ("c", 1)])
    for offset in range(ROUNDS):
        quarantine.failed("a", offset, slots=1, now=0.0)
        quarantine.failed("b", 10 + offset, slots=1, now=0.0)
    assert [change.fitness for change in quarantine.judge(slots, now=0.0)] == [Fitness.SUSPECTED] * 2
    quarantine.put_on_trial("a", range(ROUNDS))
    quarantine.put_on_trial("b", range(10, 10 + ROUNDS))
    for offset in range(ROUNDS):
        quarantine.failed("b", offset, slots=1, now=1.0)
    assert quarantine.judge(slots, now=1.0) == []
    quarantine.succeeded("c", range(ROUNDS))
    assert quarantine.judge(slots, now=2.0)[:1] == [Judged("a", Fitness.SICK, ROUNDS)]


def test_without_a_node_to_compare_with_nobody_is_suspected() -> None:
    farm = Judges(10, {1: "a", 2: "a"}, retries=0)
    farm.run(bad={number * LENGTH for number in range(10)})
    assert farm.thought == []
    assert farm.outcome is Outcome.SOME_FAILED


def test_a_suspected_node_works_on_when_the_other_is_lost() -> None:
    farm = suspect()
    farm.take(farm.schedule.worker_lost(WELL))
    farm.ask(SICK)
    farm.tick()
    assert farm.thought == [("a", Fitness.SUSPECTED), ("a", Fitness.FIT)]
    assert farm.held[SICK]


def test_a_farm_with_nobody_but_the_sick_is_over_with_work_left() -> None:
    farm = suspect()
    for _ in range(ROUNDS + 1):
        farm.end(WELL, next(iter(farm.held[WELL])))
        farm.ask(WELL)
        farm.tick()
    assert farm.thought[1:] == [("a", Fitness.SICK)]
    farm.take(farm.schedule.worker_lost(WELL))
    farm.tick()
    assert farm.outcome is Outcome.WORK_LEFT


def test_what_still_runs_on_a_sick_node_and_fails_there_is_not_charged() -> None:
    farm = Judges(20, {SICK: "a", WELL: "b"}, slots=2, retries=0)
    farm.ask_all()
    slow, quick = farm.held[SICK]
    for _ in range(ROUNDS * 2):
        farm.end(SICK, quick, bad=True)
        farm.ask(SICK)
        farm.tick()
        quick = next((offset for offset in farm.held[SICK] if offset != slow), quick)
    assert farm.end(SICK, slow, bad=True) is Verdict.FAILED
    farm.held.pop(SICK)
    farm.run(bad=set())
    assert farm.outcome is Outcome.ALL_SUCCEEDED


@given(
    tasks=st.integers(0, 60), nodes=st.integers(1, 4), slots=st.integers(1, 3), retries=st.integers(0, 2), bad=st.randoms()
)
def test_bad_tasks_fail_good_tasks_succeed_and_the_farm_ends(
    tasks: int, nodes: int, slots: int, retries: int, bad: object
) -> None:
    share = bad.choice((0.0, 0.5, 1.0))  # type: ignore[attr-defined]
    failing = {number * LENGTH for number in range(tasks) if bad.random() < share}  # type: ignore[attr-defined]
    farm = Judges(tasks, {rank: f"n{rank}" for rank in range(nodes)}, slots, retries=retries)
    farm.run(failing)
    assert sorted(farm.succeeded) == sorted({number * LENGTH for number in range(tasks)} - failing)
    assert farm.schedule.unfinished() == sorted(failing)
    charged = len(farm.order) - len(farm.tried)
    assert charged <= tasks + len(failing) * (retries + 1), "each task is let off once at most"


def test_a_node_that_fails_now_and_then_is_nobodys_suspect() -> None:
    quarantine = Quarantine()
    for number in range(100):
        for offset in range(ROUNDS * 2 - 1):
            quarantine.failed("a", offset, slots=2, now=0.0)
        quarantine.succeeded("a", [number])
        quarantine.succeeded("b", [number])
        assert quarantine.judge(slots_by_node([("a", 1), ("a", 1), ("b", 2)]), now=0.0) == []


# tasks that kill their worker
