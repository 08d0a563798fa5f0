from mpifarm.awake import AWAY_S, Awake


def test_the_clock_goes_on_while_turns_follow_each_other() -> None:
    clock = Awake(100.0)
    assert [clock.turn(now) for now in (100.1, 100.2, 100.9)] == [100.1, 100.2, 100.9]


def test_time_in_which_the_process_was_stopped_does_not_count() -> None:
    clock = Awake(100.0)
    clock.turn(100.5)
    assert clock.turn(170.5) == 100.5
    assert clock.turn(171.0) == 101.0


def test_a_sleep_on_purpose_counts() -> None:
    clock = Awake(100.0)
    assert clock.turn(160.0, slept_s=60.0) == 160.0


def test_only_what_goes_beyond_a_sleep_on_purpose_is_absence() -> None:
    clock = Awake(100.0)
    assert clock.turn(170.0, slept_s=10.0) == 110.0


def test_a_turn_that_takes_a_moment_is_no_absence() -> None:
    clock = Awake(100.0)
    assert clock.turn(100.0 + AWAY_S) == 100.0 + AWAY_S
