"""The state machine: its laws as scenarios, and as properties of random histories."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpifarm.schedule import schedule
from mpifarm.schedule.quarantine import Fitness
from mpifarm.schedule.retries import PATIENCE_S, PAUSES_S
from mpifarm.schedule.schedule import Action, Finish, Grant, How, Lost, Outcome, Records, Schedule, Stop, Verdict
from mpifarm.schedule.suspects import Suspect

RECORD = np.dtype([("offset", "<i8"), ("length", "<i8"), ("seq", "<i8")])
LENGTH = 10


def records(*seqs: int) -> Records:
    """Return the tasks with these seqs; each is LENGTH bytes long."""
    return np.array([((seq - 1) * LENGTH, LENGTH, seq) for seq in seqs], dtype=RECORD)


class Farm:
    """A schedule for a list of *tasks* tasks, with the workers' side of the bookkeeping."""

    def __init__(
        self,
        tasks: int,
        nodes: dict[int, str],
        slots: int = 1,
        again: Records | None = None,
        suspects: Sequence[Suspect] = (),
        **options: int,
    ) -> None:
        self._next = 1
        self._tasks = tasks
        again = records() if again is None else again
        self.schedule = Schedule(self._fresh, tasks, again, nodes, suspects=suspects, **options)
        self.now = 0.0
        self.slots = slots
        self.held: dict[int, dict[int, int]] = {}  # rank -> offset -> attempt
        self.seen: dict[int, int] = {}
        self.stops: list[Stop] = []
        self.losses: list[Lost] = []
        self.outcome: Outcome | None = None
        self.order: list[int] = []
        self.succeeded: list[int] = []
        for rank, node in nodes.items():
            self.join(rank, node)

    def _fresh(self, count: int) -> Records:
        taken = range(self._next, min(self._next + count, self._tasks + 1))
        self._next = taken.stop
        return records(*taken)

    def join(self, rank: int, node: str) -> None:
        self.held[rank], self.seen[rank] = {}, 0
        self.take(self.schedule.worker_joined(rank, node, self.slots, self.now))

    def ask(self, rank: int, ahead: int = 0) -> None:
        """*rank* reports its free slots, and that it would hold *ahead* more."""
        credit = max(0, self.slots + ahead - len(self.held[rank]))
        self.schedule.heard_of(rank, self.now)
        self.schedule.credit_changed(rank, self.seen[rank], credit)

    def tick(self, after_s: float = 0.0) -> None:
        self.now += after_s
        self.take(self.schedule.clock_ticked(self.now))
        self.schedule.check()

    def take(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Grant):
                assert self.outcome is None
                for offset, attempt in zip(action.offsets, action.attempts, strict=True):
                    self.held[action.rank][offset] = attempt
                self.seen[action.rank] += len(action.offsets)
                self.order += action.offsets
            elif isinstance(action, Stop):
                self.stops.append(action)
            elif isinstance(action, Lost):
                self.losses.append(action)
            elif isinstance(action, Finish):
                assert self.outcome is None, "finished twice"
                self.outcome = action.outcome

    def end(self, rank: int, offset: int, bad: bool = False, stopped: bool = False, attempt: int | None = None) -> Verdict:
        """Report an attempt of *rank*."""
        held = self.held.get(rank, {}).pop(offset, 1)
        ends = self.schedule.attempts_ended(rank, [offset], [attempt or held], [bad], [stopped], self.now)
        self.schedule.check()
        if ends.verdicts == [Verdict.SUCCEEDED]:
            self.succeeded.append(offset)
        return ends.verdicts[0]

    def ask_all(self) -> None:
        for rank in self.held:
            self.ask(rank)
        self.tick()


def test_tasks_are_dealt_in_the_order_of_the_list_and_the_farm_finishes() -> None:
    farm = Farm(5, {1: "a", 2: "b"})
    while farm.outcome is None:
        farm.ask_all()
        for rank, held in farm.held.items():
            for offset in list(held):
                assert farm.end(rank, offset) is Verdict.SUCCEEDED
    assert farm.order == [0, 10, 20, 30, 40]
    assert farm.outcome is Outcome.ALL_SUCCEEDED


def test_an_empty_list_finishes_at_once() -> None:
    farm = Farm(0, {1: "a"})
    farm.tick()
    assert farm.outcome is Outcome.ALL_SUCCEEDED


def test_what_earlier_runs_left_goes_first() -> None:
    farm = Farm(2, {1: "a"}, slots=4, again=records(7, 9))
    farm.ask_all()
    assert farm.order == [60, 80, 0, 10]


def test_leases_never_exceed_credit_while_grants_are_on_their_way() -> None:
    farm = Farm(100, {1: "a"}, slots=2)
    farm.schedule.credit_changed(1, seen=0, credit=2)
    farm.tick()
    farm.schedule.credit_changed(1, seen=0, credit=2)  # said before the grant arrived
    farm.tick()
    assert len(farm.held[1]) == 2


def test_a_few_tasks_are_spread_over_all_free_slots() -> None:
    farm = Farm(8, {1: "a", 2: "b"}, slots=8)
    farm.ask_all()
    assert [len(held) for held in farm.held.values()] == [4, 4]


def test_what_a_rank_holds_beyond_its_slots_is_at_most_half_its_share() -> None:
    farm = Farm(100, {1: "a", 2: "b"}, slots=2)
    farm.ask(1, ahead=1000)
    farm.ask(2)
    farm.tick()
    assert len(farm.held[2]) == 2
    assert 2 < len(farm.held[1]) <= 2 + 100 // 4


def test_no_slot_is_idle_while_others_ask_for_more() -> None:
    farm = Farm(5, {1: "a", 2: "b"}, slots=2)
    for rank in (1, 2):
        farm.ask(rank, ahead=1000)
    farm.tick()
    assert min(len(held) for held in farm.held.values()) == 2


def test_a_failed_task_is_tried_again_after_the_rest_of_the_list() -> None:
    farm = Farm(3, {1: "a"})
    farm.ask_all()
    assert farm.end(1, 0, bad=True) is Verdict.FAILED
    for offset in (10, 20, 0):
        farm.ask_all()
        assert list(farm.held[1]) == [offset]
        farm.end(1, offset)
    farm.tick()
    assert farm.outcome is Outcome.ALL_SUCCEEDED


def test_a_task_that_fails_every_time_has_retries_plus_one_attempts_then_it_is_failed() -> None:
    farm = Farm(1, {1: "a"}, retries=2)
    verdicts = []
    for attempt in (1, 2, 3):
        farm.ask_all()
        assert farm.held[1] == {0: attempt}
        verdicts.append(farm.end(1, 0, bad=True))
    farm.tick()
    assert verdicts == [Verdict.FAILED, Verdict.FAILED, Verdict.FAILED_FOR_GOOD]
    assert farm.outcome is Outcome.SOME_FAILED
    assert farm.schedule.unfinished() == [0]


def test_a_retry_goes_to_another_node_where_there_is_one() -> None:
    farm = Farm(1, {1: "a", 2: "a", 3: "b"})
    farm.ask(1)
    farm.tick()
    farm.end(1, 0, bad=True)
    farm.ask(1)
    farm.ask(2)
    farm.tick()
    assert not farm.held[1]
    assert not farm.held[2]
    farm.ask(3)
    farm.tick()
    assert farm.held[3] == {0: 2}


def test_a_retry_does_not_wait_for_ever_for_a_busy_node() -> None:
    farm = Farm(2, {1: "a", 2: "b"})
    farm.ask_all()
    farm.end(1, 0, bad=True)
    farm.ask(1)
    farm.tick()
    assert not farm.held[1]
    farm.tick(after_s=PAUSES_S[0])
    assert not farm.held[1]
    farm.tick(after_s=PATIENCE_S)
    assert farm.held[1] == {0: 2}


def test_a_lost_workers_tasks_go_in_front_uncharged() -> None:
    farm = Farm(4, {1: "a", 2: "b"}, slots=2, retries=0)
    farm.ask(1)
    farm.tick()
    farm.take(farm.schedule.worker_lost(1))
    del farm.held[1]
    farm.ask_all()
    assert farm.held[2] == {0: 2, 10: 2}
    assert [(lost.rank, lost.leases) for lost in farm.losses] == [(1, 2)]


def test_a_silent_worker_is_lost_and_a_talking_one_is_not() -> None:
    farm = Farm(4, {1: "a", 2: "b"}, lost_after_s=10)
    farm.ask_all()
    for _ in range(24):
        farm.schedule.heard_of(2, farm.now)
        farm.tick(after_s=0.5)
    assert [lost.rank for lost in farm.losses] == [1]


def test_a_manager_that_was_away_itself_takes_nobody_for_lost() -> None:
    farm = Farm(4, {1: "a", 2: "b"}, lost_after_s=10)
    farm.ask_all()
    farm.tick(after_s=1)
    farm.tick(after_s=60)
    farm.tick(after_s=1)
    assert not farm.losses


def test_a_rank_that_never_joins_is_lost_and_the_farm_without_workers_finishes() -> None:
    farm = Farm(4, {})
    farm.schedule = Schedule(farm._fresh, 4, records(), [1], lost_after_s=10)
    for _ in range(25):
        farm.tick(after_s=0.5)
    assert [lost.rank for lost in farm.losses] == [1]
    assert farm.outcome is Outcome.WORK_LEFT


def test_a_late_report_of_a_lost_worker_is_dropped() -> None:
    farm = Farm(1, {1: "a", 2: "b"})
    farm.ask(1)
    farm.tick()
    farm.take(farm.schedule.worker_lost(1))
    assert farm.end(1, 0) is Verdict.STALE
    farm.ask(2)
    farm.tick()
    assert farm.end(1, 0) is Verdict.STALE
    assert farm.end(2, 0) is Verdict.SUCCEEDED
    assert farm.schedule.counts.stale == 2


@pytest.mark.parametrize(
    ("offsets", "attempts"), [([0, 10, 20], [1, 2, 1]), ([0, 99, 10, 20], [1] * 4), ([0, 10, 20, 0], [1] * 4)]
)
def test_a_stale_end_among_many_good_ones_takes_none_of_them_with_it(offsets: list[int], attempts: list[int]) -> None:
    farm = Farm(3, {1: "a"}, slots=3)
    farm.ask_all()
    good = [False] * len(offsets)
    ends = farm.schedule.attempts_ended(1, offsets, attempts, good, good, 0.0)
    farm.schedule.check()
    assert ends.verdicts.count(Verdict.STALE) == farm.schedule.counts.stale == 1
    assert ends.verdicts.count(Verdict.SUCCEEDED) == farm.schedule.counts.done == len(offsets) - 1


def test_a_report_from_before_a_rank_joined_anew_is_dropped() -> None:
    farm = Farm(1, {1: "a"})
    farm.ask_all()
    farm.join(1, "a")
    farm.ask_all()
    assert farm.held[1] == {0: 2}
    assert farm.end(1, 0, attempt=1) is Verdict.STALE


def test_a_duplicate_report_is_dropped() -> None:
    farm = Farm(1, {1: "a"})
    farm.ask_all()
    assert farm.end(1, 0) is Verdict.SUCCEEDED
    assert farm.end(1, 0, attempt=1) is Verdict.STALE


def test_a_task_on_three_lost_workers_in_turn_is_failed() -> None:
    farm = Farm(1, {rank: f"n{rank}" for rank in range(1, 5)})
    for rank in (1, 2, 3):
        farm.ask(rank)
        farm.tick()
        assert farm.held[rank] == {0: rank}
        farm.take(farm.schedule.worker_lost(rank))
    assert [lost.poisoned for lost in farm.losses] == [[], [], [0]]
    farm.tick()
    assert farm.outcome is Outcome.SOME_FAILED


def suspect(seq: int, deaths: int, convicted: bool = False) -> Suspect:
    return Suspect(deaths, ((seq - 1) * LENGTH, LENGTH, seq), convicted)


def test_a_retry_pauses_while_anything_else_runs_and_not_when_nothing_does() -> None:
    farm = Farm(3, {1: "a"}, slots=3)
    farm.ask_all()
    for offset in (0, 10):
        farm.end(1, offset, bad=True)
    farm.ask_all()
    farm.ask(1)
    farm.tick(after_s=PAUSES_S[0] - 0.01)
    assert list(farm.held[1]) == [20]
    farm.end(1, 20)
    farm.ask_all()
    assert farm.held[1] == {0: 2, 10: 2}


def test_suspects_of_earlier_runs_go_behind_the_rest_of_the_list_and_its_retries() -> None:
    farm = Farm(2, {1: "a"}, again=records(9), suspects=[suspect(7, 1), suspect(8, 1)])
    order = []
    for bad in (False, True, False, False, False, False):
        farm.ask_all()
        (offset,) = farm.held[1]
        order.append(offset)
        farm.end(1, offset, bad)
        farm.tick(after_s=PAUSES_S[0])
    assert order == [80, 0, 10, 0, 60, 70]
    assert farm.outcome is Outcome.ALL_SUCCEEDED


def test_suspects_of_two_deaths_have_the_farm_to_themselves() -> None:
    farm = Farm(2, {1: "a", 2: "b"}, slots=2, suspects=[suspect(7, 2), suspect(8, 1), suspect(9, 2)])
    farm.ask_all()
    together = farm.held[1] | farm.held[2]
    assert sorted(together) == [0, 10, 70]
    for rank in (1, 2):
        for offset in list(farm.held[rank]):
            farm.ask_all()
            assert farm.schedule.tried == (1, 0, 70)
            farm.end(rank, offset)
    for offset in (60, 80):
        farm.ask_all()
        farm.ask_all()
        assert farm.schedule.tried == (2, offset, offset)
        (rank,) = (rank for rank in (1, 2) if farm.held[rank])
        assert list(farm.held[rank]) == [offset]
        assert len(farm.held[3 - rank]) == 0
        farm.end(rank, offset)
    farm.tick()
    assert farm.schedule.tried == (0, 0, 0)
    assert farm.outcome is Outcome.ALL_SUCCEEDED


def test_one_that_is_convicted_is_not_run_and_the_farm_ends_with_a_failure() -> None:
    farm = Farm(1, {1: "a"}, suspects=[suspect(7, 3, convicted=True)])
    farm.ask_all()
    farm.end(1, 0)
    farm.tick()
    assert farm.order == [0]
    assert farm.outcome is Outcome.SOME_FAILED
    assert farm.schedule.unfinished() == [60]
    assert farm.schedule.failed(60) == (60, LENGTH, 7)
    assert farm.schedule.suspects() == [(60, 3, True)]


@pytest.mark.parametrize("bad", [True, False])
def test_a_suspect_that_ends_by_itself_is_cleared_and_an_interrupted_one_is_not(bad: bool) -> None:
    farm = Farm(0, {1: "a"}, slots=2, suspects=[suspect(7, 1), suspect(8, 1)])
    farm.ask_all()
    farm.end(1, 60, bad)
    farm.take(farm.schedule.stop_asked(How.KILL, farm.now))
    farm.end(1, 70, stopped=True)
    assert farm.schedule.suspects() == [(70, 1, False)]


def test_losses_are_counted_over_runs() -> None:
    farm = Farm(1, {1: "a", 2: "b"}, suspects=[suspect(7, 2)])
    farm.ask(1)
    farm.tick()
    farm.end(1, 0)
    farm.ask(1)
    farm.tick()
    assert farm.held[1] == {60: 1}
    farm.take(farm.schedule.worker_lost(1))
    assert [lost.poisoned for lost in farm.losses] == [[60]]
    assert farm.schedule.suspects() == [(60, 3, True)]


def test_a_task_that_takes_workers_along_convicts_nobody_beside_it() -> None:
    poison = 0
    farm = Farm(40, {rank: f"n{rank}" for rank in range(1, 6)}, slots=4)
    for _ in range(200):
        farm.ask_all()
        for rank in [rank for rank, held in farm.held.items() if poison in held]:
            farm.take(farm.schedule.worker_lost(rank))
            del farm.held[rank]
        for rank, held in farm.held.items():
            if held:
                farm.end(rank, next(iter(held)))
        if farm.outcome is not None:
            break
    assert [lost.poisoned for lost in farm.losses] == [[], [], [poison]]
    assert farm.outcome is Outcome.SOME_FAILED
    assert farm.schedule.unfinished() == [poison]
    assert farm.schedule.suspects() == [(poison, 3, True)]


@pytest.mark.parametrize("how", How)
def test_after_a_stop_nothing_is_granted_and_interrupted_tasks_are_left(how: How) -> None:
    farm = Farm(4, {1: "a", 2: "b"})
    farm.ask_all()
    farm.take(farm.schedule.stop_asked(how, farm.now))
    assert farm.stops == [Stop(1, how), Stop(2, how)]
    assert farm.end(1, 0, bad=True, stopped=True) is Verdict.INTERRUPTED
    assert farm.end(2, 10) is Verdict.SUCCEEDED
    farm.ask_all()
    assert farm.outcome is Outcome.WORK_LEFT
    assert farm.order == [0, 10]
    assert farm.schedule.unfinished() == [0]


def test_a_stop_when_all_is_done_is_no_work_left() -> None:
    farm = Farm(1, {1: "a"})
    farm.ask_all()
    farm.take(farm.schedule.stop_asked(How.DRAIN, farm.now))
    farm.end(1, 0)
    farm.tick()
    assert farm.outcome is Outcome.ALL_SUCCEEDED


def test_a_stronger_stop_is_passed_on_and_a_weaker_one_is_not() -> None:
    farm = Farm(1, {1: "a"})
    farm.ask_all()
    for how in (How.DRAIN, How.KILL, How.DRAIN, How.KILL, How.KILL_NOW):
        farm.take(farm.schedule.stop_asked(how, farm.now))
    assert [stop.how for stop in farm.stops] == [How.DRAIN, How.KILL, How.KILL_NOW]


def test_a_worker_that_does_not_answer_a_stop_holds_up_nobody() -> None:
    farm = Farm(1, {1: "a"})
    farm.ask_all()
    farm.take(farm.schedule.stop_asked(How.KILL, farm.now))
    while farm.outcome is None and farm.now < 100:
        farm.tick(after_s=0.5)
    assert farm.outcome is Outcome.WORK_LEFT
    assert farm.now < schedule.STOP_PATIENCE_S + 5


def test_a_worker_that_joins_after_a_stop_is_stopped() -> None:
    farm = Farm(1, {1: "a"})
    farm.ask_all()
    farm.take(farm.schedule.stop_asked(How.DRAIN, farm.now))
    farm.join(2, "b")
    assert Stop(2, How.DRAIN) in farm.stops


def test_a_worker_that_leaves_is_granted_nothing_more_and_what_it_gives_back_goes_elsewhere() -> None:
    farm = Farm(3, {1: "a", 2: "b"})
    farm.ask_all()
    farm.schedule.worker_left(1)
    assert farm.end(1, 0, bad=True, stopped=True) is Verdict.INTERRUPTED
    farm.ask_all()
    assert not farm.held[1]
    for _ in range(3):
        for offset in list(farm.held[2]):
            farm.end(2, offset)
        farm.ask_all()
    assert farm.outcome is Outcome.ALL_SUCCEEDED


def test_the_farm_finishes_when_all_workers_have_left() -> None:
    farm = Farm(3, {1: "a"})
    farm.ask_all()
    farm.schedule.worker_left(1)
    farm.end(1, 0)
    farm.tick()
    assert farm.outcome is Outcome.WORK_LEFT


def test_more_than_max_fails_failures_stop_the_dealing() -> None:
    farm = Farm(10, {1: "a"}, retries=0, max_fails=1)
    for offset in (0, 10):
        farm.ask_all()
        farm.end(1, offset, bad=True)
    farm.ask_all()
    assert farm.order == [0, 10]
    assert farm.outcome is Outcome.SOME_FAILED


def test_memory_grows_with_what_is_in_flight_and_not_with_the_list() -> None:
    farm = Farm(10_000, {1: "a"}, slots=8)
    while farm.outcome is None:
        farm.ask_all()
        assert farm.schedule.counts.leased <= 8
        for offset in list(farm.held[1]):
            farm.end(1, offset)
    assert not farm.schedule._history
    assert len(farm.succeeded) == 10_000


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 3), st.integers(1, 4))
def test_whatever_happens_each_task_ends_in_one_state(seed: int, retries: int, slots: int) -> None:
    random_ = random.Random(seed)
    farm = Farm(30, {1: "a", 2: "a", 3: "b"}, slots=slots, again=records(40, 41), retries=retries, lost_after_s=1000)
    spare = 4
    for _ in range(3000):
        rank = random_.choice(sorted(farm.held))
        happening = random_.random()
        if happening < 0.01 and len(farm.held) > 1:
            farm.take(farm.schedule.worker_lost(rank))
            del farm.held[rank]
            farm.join(spare, random_.choice("abc"))
            spare += 1
        elif happening < 0.6 and farm.held[rank]:
            offset = random_.choice(sorted(farm.held[rank]))
            farm.end(rank, offset, bad=random_.random() < 0.3, stopped=random_.random() < 0.1)
        elif happening < 0.65:
            assert farm.end(99, random_.randrange(0, 300, 10), attempt=1) is Verdict.STALE
        else:
            farm.ask(rank, ahead=random_.randrange(5))
            farm.tick(after_s=random_.random())
        if farm.outcome is not None:
            break
    sick = farm.schedule._quarantine.fitness  # it may have been chance, but then it was never on all nodes
    assert farm.outcome is not None
    assert farm.outcome is not Outcome.WORK_LEFT or Fitness.SICK in map(sick, "abc")
    assert len(set(farm.succeeded)) == len(farm.succeeded)
    everything = [*range(0, 300, 10), 390, 400]
    assert sorted([*farm.succeeded, *farm.schedule.unfinished()]) == everything
    assert farm.outcome is Outcome.WORK_LEFT or (farm.outcome is Outcome.ALL_SUCCEEDED) == (not farm.schedule.unfinished())
