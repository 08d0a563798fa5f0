"""Nodes on which everything fails: who is blamed, and who is let off."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from simfarm import LENGTH, Farm

from mpifarm.schedule.answers import Action, Outcome, Verdict
from mpifarm.schedule.quarantine import ROUNDS, Fitness, Judged, Quarantine, slots_by_node

SICK, WELL = 1, 2


class Judges(Farm):
    """A farm that keeps what was thought of its nodes."""

    def take(self, actions: list[Action]) -> None:
        self.judged = [*getattr(self, "judged", []), *(action for action in actions if isinstance(action, Judged))]
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
    assert len(farm.order) <= tasks + len(failing) * (retries + 1), "each task is let off once at most"


def test_a_node_that_fails_now_and_then_is_nobodys_suspect() -> None:
    quarantine = Quarantine()
    for number in range(100):
        for offset in range(ROUNDS * 2 - 1):
            quarantine.failed("a", offset, slots=2)
        quarantine.succeeded("a", [number])
        quarantine.succeeded("b", [number])
        assert quarantine.judge(slots_by_node([("a", 1), ("a", 1), ("b", 2)])) == []


# tasks that kill their worker
