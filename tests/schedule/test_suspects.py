"""Who may have taken a farm down: what the lock says, how it is judged, and in which order suspects are tried."""

from __future__ import annotations

import pytest

from mpifarm.schedule.suspects import NOTHING, Dealt, Lineup, Suspect, judge, parse


def suspect(deaths: int, number: int, convicted: bool = False) -> Suspect:
    return Suspect(deaths, (number * 10, 10, number), convicted)


def test_the_words_of_the_lock_come_back_and_are_always_as_long() -> None:
    some = [NOTHING, Dealt(1035), Dealt(10**17, 2, 432, 432), Dealt(9, 10**9, 10**17, 10**17 + 5)]
    assert [parse(f"mpifarm host=a {dealt.words()}\n") for dealt in some] == some
    assert len({len(dealt.words()) for dealt in some}) == 1


@pytest.mark.parametrize("at", range(len(NOTHING.words())))
def test_words_that_are_torn_at_any_byte_say_nothing_or_what_stood_there(at: int) -> None:
    before, after = Dealt(999, 1, 0, 99), Dealt(1000, 2, 100, 100)
    assert parse(after.words()[:at] + before.words()[at:]) in (NOTHING, before, after)
    assert parse(after.words()[:at]) == NOTHING


def test_what_was_dealt_and_is_not_done_is_suspected() -> None:
    suspicion = judge([], [10, 40, 50, 60], Dealt(50))
    assert (suspicion.counts, suspicion.convicted, suspicion.raised) == ({10: 1, 40: 1}, frozenset(), 2)


def test_a_farm_that_ended_by_itself_or_dealt_nothing_raises_nobody() -> None:
    words = [(10, 2, False), (30, 3, True)]
    assert judge(words, [10, 20, 30], NOTHING).counts == {10: 2, 30: 3}
    assert judge(words, [20], NOTHING).counts == {}  # the others are done


def test_suspects_that_were_not_reached_are_not_raised() -> None:
    words = [(10, 1, False), (20, 1, False), (30, 1, False), (5, 2, False)]
    assert judge(words, [5, 10, 20, 30, 40], Dealt(50)).counts == {5: 2, 10: 1, 20: 1, 30: 1, 40: 1}
    assert judge(words, [5, 10, 20, 30, 40], Dealt(50, 1, 0, 20)).counts == {5: 2, 10: 2, 20: 2, 30: 1, 40: 1}


def test_one_that_was_alone_for_the_third_time_is_convicted_and_acquits_the_others() -> None:
    words = [(10, 1, False), (20, 2, False), (30, 2, False)]
    suspicion = judge(words, [10, 20, 30, 40], Dealt(50, 2, 20, 20))
    assert (suspicion.counts, suspicion.convicted) == ({20: 3}, frozenset({20}))


def test_of_several_that_had_the_farm_to_themselves_nobody_is_convicted() -> None:
    words = [(10, 2, False), (20, 2, False), (30, 2, False)]
    suspicion = judge(words, [10, 20, 30, 40], Dealt(50, 2, 10, 20))
    assert (suspicion.counts, suspicion.convicted) == ({10: 3, 20: 3, 30: 2}, frozenset())


def test_one_that_was_done_before_the_farm_died_takes_nobody_with_it() -> None:
    suspicion = judge([(10, 2, False), (20, 2, False)], [10, 40], Dealt(50, 2, 20, 20))
    assert (suspicion.counts, suspicion.convicted) == ({10: 2}, frozenset())


def test_who_is_convicted_stays_so_until_a_farm_has_ended_by_itself() -> None:
    words = [(10, 3, True), (20, 2, False)]
    second = judge(words, [10, 20, 30], Dealt(50, 2, 20, 20))
    assert (second.counts, second.convicted) == ({10: 3, 20: 3}, frozenset({10, 20}))
    assert second.words() == [(10, 3, True), (20, 3, True)]
    assert judge(second.words(), [10, 20, 30], NOTHING).convicted == frozenset()


def test_suspects_are_tried_in_the_order_of_count_and_offset_the_heavy_ones_alone() -> None:
    lineup = Lineup([suspect(2, 1), suspect(1, 5), suspect(3, 0), suspect(1, 4), suspect(2, 3), suspect(9, 2, True)])
    assert [lineup.take_open()[2] for _ in range(2)] == [4, 5]
    assert (lineup.tried, lineup.alone) == ((1, 0, 50), False)
    alone = []
    while len(lineup):
        lineup.next_batch()
        assert lineup.alone
        assert len(lineup.batch) == 1
        assert Dealt(1, *lineup.tried).alone
        alone.append(lineup.batch.popleft()[2])
    assert alone == [1, 3, 0]


def test_many_of_one_count_go_a_hundredth_at_a_time_and_never_with_those_of_another() -> None:
    lineup = Lineup([suspect(2, number) for number in range(1050)] + [suspect(3, number) for number in range(2000, 2200)])
    sizes = []
    while len(lineup):
        lineup.next_batch()
        sizes.append(len(lineup.batch))
        assert lineup.tried == (lineup.tried[0], lineup.batch[0][0], lineup.batch[-1][0])
        lineup.batch.clear()
    assert sizes == [10] * 105 + [1] * 200
