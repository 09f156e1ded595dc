"""The breaker: when it opens, how it probes, and when it closes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from segue.deliver.breaker import (
    CLOSED,
    FAILING,
    FAILURES_TO_OPEN,
    HALF_OPEN,
    KEY_REFUSALS_TO_OPEN,
    KEY_REFUSED,
    OPEN,
    PROBE_MOST_MS,
    UNASKED_TO_CLOSE,
    Breaker,
)


def failing(now: int = 0, *, lanes: int = 2, times: int = FAILURES_TO_OPEN) -> Breaker:
    breaker = Breaker()
    for number in range(times):
        breaker.failed((f"u:{number % lanes}",), now, probe=False)
    return breaker


def test_ten_failures_in_a_row_over_two_lanes_open_it() -> None:
    assert failing(times=9).state == CLOSED
    breaker = failing(times=10)
    assert (breaker.state, breaker.reason) == (OPEN, FAILING)


def test_one_lane_alone_never_opens_it() -> None:
    assert failing(lanes=1, times=500).state == CLOSED


def test_a_lone_user_with_and_without_a_second_id_is_one_lane() -> None:
    breaker = Breaker()
    for _ in range(50):
        breaker.failed(("u:1", "a:x"), 0, probe=False)
        breaker.failed(("a:x",), 0, probe=False)
        breaker.failed(("u:1",), 0, probe=False)
    assert breaker.state == CLOSED
    breaker.failed(("a:y",), 0, probe=False)
    assert breaker.state == OPEN


def test_a_success_between_begins_the_row_anew() -> None:
    breaker = failing(times=9)
    breaker.succeeded()
    for number in range(9):
        breaker.failed((f"u:{number}",), 0, probe=False)
    assert breaker.state == CLOSED


def test_twenty_refused_keys_in_a_row_open_it_whatever_fails_between() -> None:
    breaker = Breaker()
    for number in range(KEY_REFUSALS_TO_OPEN):
        assert not breaker.keeps_refused_key()
        breaker.failed(("u:1",), number, probe=False)
        breaker.key_refused(number, probe=False)
    assert (breaker.state, breaker.reason) == (OPEN, KEY_REFUSED)
    assert breaker.keeps_refused_key()


def test_a_success_between_refused_keys_begins_the_row_anew() -> None:
    breaker = Breaker()
    for number in range(200):
        breaker.key_refused(0, probe=False)
        if number % (KEY_REFUSALS_TO_OPEN - 1) == 0:
            breaker.succeeded()
    assert breaker.state == CLOSED


def test_probes_come_after_one_second_doubling_to_sixty() -> None:
    breaker, now, waits = failing(), 0, []
    for number in range(9):
        waits.append(breaker.probe_at - now)
        assert not breaker.may_probe(breaker.probe_at - 1)
        now = breaker.probe_at
        assert breaker.may_probe(now)
        breaker.probing(f"u:{number}")
        assert not breaker.may_probe(now + 10**9), "two probes at once"
        breaker.failed((f"u:{number}",), now, probe=True)
    assert waits == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]


def test_what_was_under_way_when_it_opened_does_not_end_a_probe() -> None:
    breaker = failing()
    breaker.failed(("u:9",), 10, probe=False)
    assert breaker.probe_at == 1_000
    breaker.probing("u:1")
    breaker.failed(("u:9",), 1_010, probe=False)
    breaker.key_refused(1_010, probe=False)
    assert (breaker.state, breaker.reason) == (HALF_OPEN, FAILING)
    breaker.failed(("u:1",), 1_020, probe=True)
    assert breaker.probe_at == 3_020


def test_a_success_closes_it_whoever_brings_it() -> None:
    breaker = failing()
    breaker.succeeded()
    assert (breaker.state, breaker.reason) == (CLOSED, None)
    again = failing()
    again.probing("u:1")
    again.succeeded()
    assert again.state == CLOSED
    again.failed(("u:1",), 0, probe=False)
    again.failed(("u:2",), 0, probe=False)
    assert again.state == CLOSED


def test_a_probe_says_why_it_is_open_now() -> None:
    breaker = failing()
    breaker.probing("u:1")
    breaker.key_refused(2_000, probe=True)
    assert (breaker.state, breaker.reason) == (OPEN, KEY_REFUSED)
    breaker.probing("u:2")
    breaker.failed(("u:2",), 9_000, probe=True)
    assert (breaker.state, breaker.reason) == (OPEN, FAILING)


def test_a_probe_that_came_to_nothing_is_followed_at_once() -> None:
    breaker = failing()
    breaker.probing("u:1")
    breaker.probe_lost(1_500)
    assert breaker.may_probe(1_500)


def test_a_probe_whose_address_segue_refuses_closes_it() -> None:
    breaker = failing()
    breaker.probing("u:1")
    breaker.refused_unasked(address=True)
    assert (breaker.state, breaker.reason) == (CLOSED, None)
    for number in range(FAILURES_TO_OPEN - 1):
        breaker.failed((f"u:{number}",), 0, probe=False)
    assert breaker.state == CLOSED, "the row of failures begins anew"


def test_ten_probes_in_a_row_that_are_refused_for_what_is_in_the_event_close_it() -> None:
    breaker = failing()
    for number in range(3 * UNASKED_TO_CLOSE):
        breaker.probing("u:1")
        if number % UNASKED_TO_CLOSE == UNASKED_TO_CLOSE - 1:
            breaker.failed(("u:1",), 0, probe=True)
        else:
            breaker.refused_unasked(address=False)
            breaker.probe_lost(0)
        assert (breaker.state, breaker.reason) == (OPEN, FAILING)
    for _ in range(UNASKED_TO_CLOSE):
        assert breaker.state == OPEN
        breaker.probing("u:1")
        breaker.refused_unasked(address=False)
        breaker.probe_lost(0)
    assert (breaker.state, breaker.reason) == (CLOSED, None)


def test_a_refused_address_does_not_end_the_row_of_refused_keys() -> None:
    breaker = Breaker()
    for number in range(KEY_REFUSALS_TO_OPEN):
        breaker.key_refused(number, probe=False)
    breaker.probing("u:1")
    breaker.refused_unasked(address=True)
    assert breaker.state == CLOSED
    assert breaker.keeps_refused_key(), "it is no further dead letter"
    breaker.key_refused(100, probe=False)
    assert (breaker.state, breaker.reason) == (OPEN, KEY_REFUSED)
    breaker.succeeded()
    assert not breaker.keeps_refused_key()


def test_new_settings_are_probed_at_once_also_while_a_probe_of_the_old_ones_is_under_way() -> None:
    breaker = failing()
    breaker.probe_now(100)
    assert breaker.may_probe(100)
    breaker.probing("u:1")
    breaker.probe_now(200)
    assert breaker.may_probe(200)


def test_one_that_was_open_probes_at_once_after_a_start() -> None:
    for state in (OPEN, HALF_OPEN):
        breaker = Breaker()
        breaker.restore(state, KEY_REFUSED, 77)
        assert (breaker.state, breaker.reason) == (OPEN, KEY_REFUSED)
        assert breaker.may_probe(77)
    fresh = Breaker()
    fresh.restore(CLOSED, None, 77)
    assert fresh.state == CLOSED


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("failed", "key", "fine", "probe", "lost", "unasked", "address", "now")), st.integers(0, 3)
    )
)


@given(STEPS)
def test_it_can_always_be_probed_within_a_minute(steps: list[tuple[str, int]]) -> None:
    breaker, now = Breaker(), 1_000
    for step, lane in steps:
        now += 700
        probe = breaker.state == HALF_OPEN
        if step == "failed":
            breaker.failed((f"u:{lane}",), now, probe=probe)
        elif step == "key":
            breaker.key_refused(now, probe=probe)
        elif step == "fine":
            breaker.succeeded()
        elif step == "lost":
            breaker.probe_lost(now)
        elif step in ("unasked", "address") and probe:
            breaker.refused_unasked(address=step == "address")
            breaker.probe_lost(now)
        elif step == "now":
            breaker.probe_now(now)
        elif breaker.may_probe(now):
            breaker.probing(f"u:{lane}")
        assert (breaker.state == CLOSED) == (breaker.reason is None)
        if breaker.state == OPEN:
            assert breaker.probe_at <= now + PROBE_MOST_MS
            assert breaker.may_probe(now + PROBE_MOST_MS)


def test_refusals_that_are_kept_do_not_count_beyond_the_bound() -> None:
    breaker = Breaker()
    for _ in range(KEY_REFUSALS_TO_OPEN):
        breaker.key_refused(0, probe=False)
    breaker.probing("u:1")
    breaker.refused_unasked(address=True)
    assert breaker.state == CLOSED
    assert breaker.keeps_refused_key()
    breaker.key_refused(0, probe=False)
    assert (breaker.state, breaker.key_refusals) == (OPEN, KEY_REFUSALS_TO_OPEN)
