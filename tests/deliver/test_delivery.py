"""The delivery to one destination, step by step: what is sent when, and what is counted."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from segue.core.destination import Response
from segue.deliver.limits import Limits
from segue.deliver.replay import Replay
from segue.deliver.retry import WINDOW_MS
from segue.state.deliveries import Delta, DestinationState, ReplayState
from tests.deliver.rig import BAD, BROKEN, BUSY, DESTINATION, FINE, NO_ADDRESS, NO_KEY, Rig
from tests.sim.kinds import CRASHY, PARTS, SINGLE, SKIPPED, UNMAPPABLE, WEBHOOK, settings_of

SECOND, HOUR = 1_000, 3_600_000


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


def balance(rig: Rig) -> tuple[int, int]:
    """What was read of the source, and what became of it."""
    state = rig.state
    final = state.delivered + sum(state.filtered.values()) + sum(state.refused.values())
    return state.passed.get("web", 0), final + state.retrying + len(rig.delivery.window)


# -- order -------------------------------------------------------------------------------------------------------------


def test_events_of_one_user_go_one_after_the_other_and_those_of_others_at_once(rig: Rig) -> None:
    rig.append("ann", "ann", "bob")
    rig.pump()
    assert rig.under_way() == [0, 2]
    rig.answer(FINE, 0)
    assert rig.under_way() == [2, 1]


def test_a_failed_event_parks_the_later_ones_of_its_user_only(rig: Rig) -> None:
    rig.append("ann", "ann/phone", "/phone", "bob", "bob")
    rig.pump()
    rig.answer(BROKEN, 0)
    assert rig.state.retrying == 3
    rig.answer(FINE, 3)
    assert rig.under_way() == [4]
    rig.append("/phone")
    rig.pump()
    assert rig.state.retrying == 4
    rig.wait_for_it()
    assert rig.under_way() == [4, 0]
    for offset in (0, 1, 2, 5):
        rig.answer(FINE, offset)
    assert (rig.state.retrying, rig.state.retry_bytes, rig.state.delivered) == (0, 0, 5)


def test_other_sources_are_read_past(rig: Rig) -> None:
    rig.append("ann", source="app")
    rig.append("bob")
    rig.pump()
    assert rig.under_way() == [1]
    assert rig.state.passed == {"web": 1}


# -- retries and their window ------------------------------------------------------------------------------------------


def test_an_event_is_given_up_after_four_hours_of_failures(rig: Rig) -> None:
    rig.append("ann")
    rig.pump()
    begin = rig.now
    while not rig.state.refused:
        assert rig.under_way() == [0]
        rig.answer(BROKEN)
        if not rig.state.refused:
            rig.wait_for_it()
    assert rig.now - begin == WINDOW_MS
    assert rig.state.refused == {"RETRY": 1}


def test_after_a_clock_was_put_back_a_retry_is_due_within_five_minutes_and_its_window_is_no_longer(rig: Rig) -> None:
    rig.append("ann")
    rig.pump()
    rig.answer(BROKEN)
    rig.commit()
    rig.now -= 31 * 24 * HOUR
    begin = rig.now
    rig.crash()
    rig.wait_for_it()
    assert rig.now - begin <= 300_000
    while not rig.state.refused:
        rig.answer(BROKEN)
        if not rig.state.refused:
            rig.wait_for_it()
    assert rig.now - begin == WINDOW_MS


def test_one_that_waited_longer_behind_another_gets_exactly_one_attempt(rig: Rig) -> None:
    rig.append("ann", "ann")
    rig.pump()
    while not rig.state.refused:
        rig.answer(BROKEN)
        rig.at is not None and rig.wait_for_it()
    assert rig.under_way() == [1]
    rig.answer(BROKEN)
    assert rig.state.refused == {"RETRY": 2}
    assert not rig.sent


def test_no_window_runs_while_the_breaker_is_open(rig: Rig) -> None:
    rig.append(*(f"u{number}" for number in range(10)))
    rig.pump()
    rig.answer(BROKEN)
    assert rig.delivery.breaker.state == "open"
    for _ in range(60 * 60):
        rig.wait_for_it()
        rig.answer(BROKEN)
        rig.delivery.outcomes < 100 or rig.commit()
    assert not rig.state.refused
    rig.change()  # probes at once
    rig.answer(FINE)
    rig.pump()
    while rig.state.retrying:
        rig.wait(300 * SECOND)
        rig.answer(FINE)
    assert rig.state.delivered == 10


def test_an_open_breaker_holds_windows_for_72_hours_only(rig: Rig) -> None:
    rig.append("ann", "bob")
    rig.pump()
    for _ in range(5):
        rig.answer(BROKEN)
        rig.wait(320 * SECOND)
    assert rig.delivery.breaker.state != "closed"
    opened = rig.now
    while not rig.state.refused:
        rig.answer(BROKEN)
        rig.delivery.outcomes < 100 or rig.commit()
        rig.state.refused or rig.wait_for_it()
    assert 72 * HOUR + WINDOW_MS - 2 * HOUR <= rig.now - opened <= 72 * HOUR + WINDOW_MS + 60 * SECOND


def test_time_in_which_it_was_off_is_not_taken_from_a_window_also_over_a_restart(rig: Rig) -> None:
    rig.append("ann")
    rig.pump()
    rig.answer(BROKEN)
    rig.change(enabled=False)
    rig.commit()
    rig.now += 240 * HOUR
    rig.crash()
    rig.now += 240 * HOUR
    rig.change(enabled=True)
    rig.wait_for_it() if not rig.sent else None
    rig.answer(BROKEN)
    assert rig.state.retrying == 1
    assert not rig.state.refused


def test_each_further_opening_holds_a_window_only_for_what_is_left_of_the_72_hours(rig: Rig) -> None:
    still = rig.delivery.sender.standstill
    rig.append("ann")
    rig.pump()
    rig.answer(BROKEN)
    begun = rig.now
    for _ in range(3):
        still.set_open(True, rig.now)
        rig.now += 40 * HOUR
        still.set_open(False, rig.now)
    rig.commit()
    rig.crash()
    rig.pump()
    while not rig.state.refused:
        rig.answer(BROKEN)
        rig.state.refused or rig.wait_for_it()
    assert rig.now - begun == 3 * 40 * HOUR, "the window ended while the third one was open"
    assert rig.state.refused == {"RETRY": 1}


def test_a_delay_is_obeyed(rig: Rig) -> None:
    rig.append("ann")
    rig.pump()
    for attempt in range(1, 4):
        rig.answer(BROKEN)
        assert rig.at == rig.now + round(1_000 * 2**attempt * (0.5 + 0.999 / 2))
        rig.wait(1)
        assert not rig.sent
        rig.wait_for_it()


# -- 429 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
def test_a_vendor_that_asks_to_wait_pauses_all_and_parks_nothing(rig: Rig, status: int) -> None:
    answer = Response(status=status, retry_after_ms=9_000)
    rig.append("ann", "bob", "ann")
    rig.pump()
    rig.answer(answer, 0)
    rig.append("cid")
    rig.pump()
    assert rig.under_way() == [1]
    assert rig.state.retrying == 0
    rig.answer(FINE)
    assert rig.at == rig.now + 9_000
    rig.wait_for_it()
    assert rig.under_way() == [0, 3]


def test_429_without_a_hint_pauses_for_the_delay_of_a_retry(rig: Rig) -> None:
    rig.append("ann")
    rig.pump()
    rig.answer(BUSY)
    assert rig.now + 1_000 <= (rig.at or 0) <= rig.now + 2_000


def test_a_change_of_settings_ends_a_pause(rig: Rig) -> None:
    rig.append("ann")
    rig.pump()
    rig.answer(Response(status=429, retry_after_ms=HOUR))
    assert rig.under_way() == []
    rig.change(settings=settings_of(rig.plan.kind, "another", 1))
    rig.pump()
    assert rig.under_way() == [0]


def test_a_cursor_stands_from_when_its_oldest_event_waits_however_many_come_after(rig: Rig) -> None:
    rig.wait(HOUR)  # while nothing comes, no cursor stands
    rig.append("ann")
    rig.pump()
    rig.commit()
    begun = rig.state.moved_at
    assert begun == rig.now
    for _ in range(3):
        rig.wait(SECOND)
        rig.append("bob")
        rig.pump()
        rig.commit()
    assert rig.state.moved_at == begun
    rig.answer(FINE, 0)
    rig.commit()
    assert rig.state.moved_at == rig.now


# -- breaker -----------------------------------------------------------------------------------------------------------


def opened(rig: Rig, answer: Response = BROKEN, users: int = 10) -> None:
    rig.append(*(f"u{number}" for number in range(users)))
    rig.pump()
    rig.answer(answer)
    assert rig.delivery.breaker.state == "open"


def test_probes_go_to_another_lane_each_time(rig: Rig) -> None:
    opened(rig)
    probed = []
    for _ in range(4):
        rig.wait_for_it()
        assert len(rig.sent) == 1
        probed += rig.under_way()
        rig.answer(BROKEN)
    assert all(one != other for one, other in pairwise(probed))


def test_what_was_under_way_when_it_opened_does_not_start_a_second_probe(rig: Rig) -> None:
    rig.append(*(f"u{number}" for number in range(12)))
    rig.pump()
    for offset in range(10):
        rig.answer(BROKEN, offset)
    rig.wait_for_it()
    assert len(rig.sent) == 3
    rig.answer(BROKEN, 10)
    rig.wait(10 * SECOND)
    assert len(rig.sent) == 2


def test_a_revoked_key_costs_twenty_dead_letters_and_no_more(tmp_path: Path) -> None:
    rig = Rig(tmp_path, max_concurrency=50)
    rig.append(*(f"u{number}" for number in range(60)))
    rig.pump()
    rig.answer(NO_KEY)
    assert rig.state.refused == {"INVALID_AUTHENTICATION": 20}
    assert rig.delivery.breaker.reason == "key_refused"
    for _ in range(20):
        rig.wait_for_it()
        assert len(rig.sent) == 1
        rig.answer(NO_KEY)
    assert rig.state.refused == {"INVALID_AUTHENTICATION": 20}
    rig.change(settings=settings_of(SINGLE, "key-1", 1))
    assert len(rig.sent) == 1, "new settings are probed at once"
    rig.answer(FINE)
    rig.answer(FINE)
    assert rig.state.delivered == 40
    rig.close()


def test_refusals_of_a_key_are_counted_on_over_a_restart(rig: Rig) -> None:
    rig.append(*(f"u{number}" for number in range(60)))
    rig.pump()
    rig.answer(NO_KEY, *range(19))
    rig.commit()
    rig.crash()
    assert rig.delivery.breaker.state == "closed"
    rig.answer(NO_KEY)
    assert rig.delivery.breaker.reason == "key_refused"
    assert rig.state.refused == {"INVALID_AUTHENTICATION": 20}


def test_new_settings_are_probed_though_a_probe_with_the_old_ones_is_under_way(rig: Rig) -> None:
    opened(rig)
    rig.wait_for_it()
    assert len(rig.sent) == 1
    rig.change(settings=settings_of(SINGLE, "key-1", 1))
    assert [dict(sent.request.headers)["Key"] for sent in rig.sent] == ["key-0", "key-1"]
    rig.answer(BROKEN, *rig.sent[0].offsets)
    assert len(rig.sent) == 1, "the old one's failure says nothing about the new ones"


def test_an_event_that_cannot_be_mapped_is_no_probe(rig: Rig) -> None:
    rig.append(*(f"u{number}" for number in range(9)))
    rig.append("x", name=UNMAPPABLE)
    rig.append("last")
    rig.pump()
    rig.answer(BROKEN)
    assert rig.state.refused == {"PAYLOAD_VALIDATION_FAILED": 1}
    assert rig.delivery.breaker.state == "open"
    rig.append("y", name=CRASHY)
    rig.pump()
    rig.wait_for_it()
    assert rig.state.refused["INTERNAL"] == 1
    assert rig.delivery.breaker.state == "half_open"
    assert len(rig.sent) == 1


def test_a_breaker_does_not_stay_open_while_events_are_refused_for_their_address(rig: Rig) -> None:
    opened(rig)
    rig.append(*(f"v{number}" for number in range(10)))
    rig.pump()
    rig.wait_for_it()
    rig.answer(NO_ADDRESS)
    assert (rig.delivery.breaker.state, rig.delivery.breaker.reason) == ("closed", None)
    while rig.sent:
        rig.answer(NO_ADDRESS)
    rig.commit()
    assert rig.state.refused["ADDRESS_REFUSED"] >= 10
    assert rig.state.breaker == "closed"
    assert not rig.delivery.sender.standstill.is_open, "the windows of those that wait run again"


def test_a_vendor_that_is_still_down_after_a_refused_address_opens_it_again_and_loses_nothing(rig: Rig) -> None:
    opened(rig)
    rig.append(*(f"v{number}" for number in range(20)))
    rig.pump()
    rig.wait_for_it()
    rig.answer(NO_ADDRESS)
    rig.answer(BROKEN)
    assert (rig.delivery.breaker.state, rig.delivery.breaker.reason) == ("open", "failing")
    assert rig.state.refused == {"ADDRESS_REFUSED": 1}


def test_a_refused_address_between_lets_no_revoked_key_drain_the_log(rig: Rig) -> None:
    opened(rig, NO_KEY, users=60)
    for _ in range(5):
        rig.wait_for_it()
        rig.answer(NO_ADDRESS)
        assert rig.delivery.breaker.state == "closed"
        rig.answer(NO_KEY)
        assert rig.delivery.breaker.reason == "key_refused"
    assert rig.state.refused == {"INVALID_AUTHENTICATION": 20, "ADDRESS_REFUSED": 5}


def test_a_stream_of_events_that_cannot_be_mapped_does_not_keep_it_open(rig: Rig) -> None:
    opened(rig)
    rig.append(*(f"x{number}" for number in range(9)), name=UNMAPPABLE)
    rig.pump()
    rig.wait_for_it()
    assert rig.state.refused == {"PAYLOAD_VALIDATION_FAILED": 9}
    assert len(rig.sent) == 1, "one that can be mapped is the probe"
    rig.answer(BROKEN)
    rig.append(*(f"y{number}" for number in range(10)), name=UNMAPPABLE)
    rig.pump()
    rig.wait_for_it()
    assert rig.state.refused == {"PAYLOAD_VALIDATION_FAILED": 19}
    assert rig.delivery.breaker.state == "closed"


def test_a_destination_whose_only_event_is_a_replayed_one_of_the_last_lane_is_probed(rig: Rig) -> None:
    rig.append("u9", source="web")
    rig.change(enabled=False)
    rig.change(enabled=True)
    opened(rig, NO_KEY, users=21)
    replayed = Replay(1, lambda event: True, ReplayState(position=0, end=1), rig.delivery._records)
    rig.delivery.breaker.last_lane = "u:u9"
    while rig.sent or rig.delivery.lanes:
        rig.wait_for_it() if not rig.sent else None
        rig.answer(BAD)
    rig.delivery.breaker.restore("open", "failing", rig.now)
    rig.delivery.breaker.last_lane = "u:u9"
    rig.delivery.start_replay(1, replayed)
    rig.pump()
    assert rig.under_way() == [0]


# -- batches -----------------------------------------------------------------------------------------------------------


def test_a_batch_holds_one_event_of_a_user_at_most(tmp_path: Path) -> None:
    rig = Rig(tmp_path, kind=WEBHOOK, batch_size=10)
    rig.append("ann", "ann", "bob", "cid/phone", "/phone")
    rig.pump()
    assert [sent.offsets for sent in rig.sent] == [[0, 2, 3]]
    rig.answer(FINE)
    assert [sent.offsets for sent in rig.sent] == [[1, 4]]
    rig.close()


def test_a_refused_batch_is_sent_once_more_one_by_one(tmp_path: Path) -> None:
    rig = Rig(tmp_path, kind=WEBHOOK, batch_size=10)
    rig.append("ann", "bob", "cid")
    rig.pump()
    rig.answer(BAD)
    assert not rig.state.refused
    assert [sent.offsets for sent in rig.sent] == [[0], [1], [2]]
    rig.answer(BAD, 1)
    rig.answer(FINE)
    assert (rig.state.delivered, rig.state.refused) == (2, {"BAD_REQUEST": 1})
    rig.close()


def test_a_batch_that_is_too_large_is_halved(tmp_path: Path) -> None:
    rig = Rig(tmp_path, kind=WEBHOOK, batch_size=8)
    rig.append(*(f"u{number}" for number in range(8)))
    rig.pump()
    rig.answer(Response(status=413))
    assert [len(sent.offsets) for sent in rig.sent] == [4, 4]
    rig.answer(Response(status=413), 0)
    assert sorted(len(sent.offsets) for sent in rig.sent) == [2, 2, 4]
    rig.close()


def delivered_in_batches(rig: Rig, count: int, size: int) -> None:
    """As many events as are so many full batches arrive, and are taken in batches of that size."""
    rig.append(*(f"u{number}" for number in range(count * size)))
    rig.pump()
    while rig.sent:
        assert {len(sent.offsets) for sent in rig.sent} == {size}
        rig.answer(FINE, rig.sent[0].offsets[0])
    rig.commit()


def test_batches_that_were_too_large_grow_again_in_time(tmp_path: Path) -> None:
    rig = Rig(tmp_path, kind=WEBHOOK, batch_size=40, max_concurrency=1)
    rig.append(*(f"u{number}" for number in range(40)))
    rig.pump()
    rig.answer(Response(status=413))
    for _ in range(2):
        assert len(rig.sent[0].offsets) == 20
        rig.answer(FINE)
    delivered_in_batches(rig, 8, 20)
    delivered_in_batches(rig, 10, 22)
    for size in range(24, 40, 2):
        delivered_in_batches(rig, 10, size)
    delivered_in_batches(rig, 25, 40)
    rig.close()


def test_a_batch_that_is_not_full_says_nothing_about_a_larger_one(tmp_path: Path) -> None:
    rig = Rig(tmp_path, kind=WEBHOOK, batch_size=4, max_concurrency=1)
    rig.append(*(f"u{number}" for number in range(4)))
    rig.pump()
    rig.answer(Response(status=413))
    while rig.sent:
        rig.answer(FINE)
    for _ in range(30):
        rig.deliver("ann")
    delivered_in_batches(rig, 8, 2)
    delivered_in_batches(rig, 10, 3)
    delivered_in_batches(rig, 10, 4)
    rig.close()


def test_one_event_that_cannot_be_mapped_does_not_refuse_its_batch(tmp_path: Path) -> None:
    rig = Rig(tmp_path, kind=PARTS, batch_size=8)
    rig.append("ann", "bob")
    rig.append("cid", name=CRASHY)
    rig.append("dan", name=UNMAPPABLE)
    rig.pump()
    assert rig.state.refused == {"INTERNAL": 1, "PAYLOAD_VALIDATION_FAILED": 1}
    rig.answer(FINE)
    assert rig.state.delivered == 2
    rig.close()


def test_each_event_of_a_batch_has_its_own_outcome(tmp_path: Path) -> None:
    rig = Rig(tmp_path, kind=PARTS, batch_size=8)
    rig.append("ann", "bob", "cid")
    rig.pump()
    rig.answer(FINE, parts=[200, 500, 400])
    assert (rig.state.delivered, rig.state.retrying, rig.state.refused) == (1, 1, {"BAD_REQUEST": 1})
    rig.close()


def test_events_of_a_flow_that_answers_for_too_few_of_them_are_sent_one_by_one(tmp_path: Path) -> None:
    rig = Rig(tmp_path, kind=PARTS, batch_size=8)
    rig.append("ann", "bob")
    rig.pump()
    rig.answer(FINE, parts=[200])
    assert [sent.offsets for sent in rig.sent] == [[0], [1]]
    rig.answer(FINE)
    assert rig.state.delivered == 2
    rig.close()


def test_a_failed_batch_does_not_keep_its_body_once_for_each_event(tmp_path: Path) -> None:
    rig = Rig(tmp_path, kind=WEBHOOK, batch_size=400)
    rig.append(*(f"user-{number}" for number in range(400)))
    rig.pump()
    rig.answer(BROKEN)
    assert rig.state.retrying == 400
    rows = rig.delivery.take().parked
    assert sum(len(row.history) for row in rows) < 400 * 1_000
    rig.close()


# -- switches ----------------------------------------------------------------------------------------------------------


def test_while_it_is_off_events_pass_as_filtered_and_parked_ones_wait(rig: Rig) -> None:
    rig.append("ann", "ann", "bob")
    rig.pump()
    rig.answer(BROKEN, 0)
    rig.append("bob", "cid")
    rig.change(enabled=False)
    rig.append("dan")
    rig.wait(HOUR)
    assert rig.under_way() == [2]
    assert rig.state.filtered == {"DESTINATION_DISABLED": 3}
    assert balance(rig) == (6, 6)
    rig.answer(BUSY)
    assert rig.state.filtered == {"DESTINATION_DISABLED": 4}, "its next attempt has not begun"
    rig.change(enabled=True)
    rig.wait(HOUR)
    assert rig.under_way() == [0]


def test_one_that_is_off_reads_on_though_its_retry_rows_are_full(tmp_path: Path) -> None:
    rig = Rig(tmp_path, limits=Limits(retry_rows=2))
    rig.append("ann", "ann")
    rig.pump()
    rig.answer(BROKEN)
    rig.append("bob")
    rig.pump()
    assert rig.state.stall
    assert rig.state.position == 2
    rig.change(enabled=False)
    assert rig.state.stall == ""
    assert rig.state.position == 3
    rig.close()


def test_what_passes_while_it_is_off_is_one_span_however_many_commits_it_takes(rig: Rig) -> None:
    rig.change(enabled=False)
    for _ in range(5):
        rig.append("ann", "ann")
        rig.pump()
        rig.commit()
    rig.change(enabled=True)
    rig.deliver("ann", "bob")
    rig.commit()
    assert rig.reader._rows("SELECT first, last FROM disabled_span") == [(0, 9)]
    assert rig.reader.disabled_at(DESTINATION, 9)
    assert not rig.reader.disabled_at(DESTINATION, 10)


def test_what_was_waiting_when_it_was_switched_off_makes_no_span_over_what_was_not(rig: Rig) -> None:
    rig.append("ann", "ann")
    rig.append("bob", name=SKIPPED)
    rig.append("ann")
    rig.pump()
    rig.change(enabled=False)
    rig.commit()
    assert [rig.reader.disabled_at(DESTINATION, offset) for offset in range(4)] == [False, True, False, True]


# -- bounds ------------------------------------------------------------------------------------------------------------


def test_the_window_is_a_thousand_events_or_two_batches(tmp_path: Path) -> None:
    rig = Rig(tmp_path, max_concurrency=1)
    rig.append(*(f"u{number}" for number in range(2_100)))
    rig.pump()
    assert len(rig.delivery.window) == 1_000
    rig.close()
    (tmp_path / "two").mkdir()
    rig = Rig(tmp_path / "two", kind=WEBHOOK, batch_size=1_000, max_concurrency=1)
    rig.append(*(f"u{number}" for number in range(2_100)))
    rig.pump()
    assert len(rig.delivery.window) == 2_000
    rig.close()


def test_at_the_bound_of_retry_rows_the_cursor_stands_until_there_is_room(tmp_path: Path) -> None:
    rig = Rig(tmp_path, limits=Limits(retry_rows=3))
    rig.append("ann", "ann", "ann")
    rig.pump()
    rig.answer(BROKEN)
    rig.append("bob")
    rig.pump()
    assert rig.state.stall == "the retry rows are full; most events wait behind u:ann (3)"
    assert rig.delivery.stall == "the retry rows are full", "a log line names no users"
    assert rig.delivery.dirty
    rig.commit()
    stood_since = rig.state.moved_at
    rig.wait_for_it()
    rig.answer(BROKEN)
    rig.commit()
    assert rig.state.moved_at == stood_since < rig.now, "retries do not move the cursor"
    rig.wait_for_it()
    rig.answer(FINE)
    assert rig.state.stall == ""
    assert sorted(rig.under_way()) == [1, 3]
    rig.close()


def test_no_more_is_read_than_could_get_retry_rows(tmp_path: Path) -> None:
    rig = Rig(tmp_path, limits=Limits(retry_rows=6, window=4, replay_window=3))
    rig.append(*(f"u{number}" for number in range(20)))
    replayed = Replay(1, lambda event: True, ReplayState(position=0, end=20), rig.delivery._records)
    rig.delivery.start_replay(1, replayed)
    rig.pump()
    assert (len(rig.delivery.window), len(replayed.waiting)) == (4, 2)
    rig.answer(BROKEN)
    assert rig.delivery.ledger.retry_rows() == 6
    assert (rig.delivery.window, replayed.waiting) == ({}, {})
    assert rig.state.stall
    rig.wait_for_it()
    rig.answer(FINE, 0)
    assert rig.state.stall == ""
    assert len(rig.delivery.window) + len(replayed.waiting) + rig.delivery.ledger.retry_rows() <= 6
    rig.close()


def test_no_more_is_read_than_there_are_bytes_for_once_half_of_them_are_taken(tmp_path: Path) -> None:
    rig = Rig(tmp_path, limits=Limits(retry_bytes=4_000), max_concurrency=1)
    rig.append(*["ann"] * 30)
    rig.pump()
    rig.answer(BROKEN)
    assert 2_000 < rig.state.retry_bytes < 4_000
    rig.append(*["bob"] * 200)
    rig.pump()
    held = sum(len(item.event.body) for item in rig.delivery.window.values() if item.event)
    assert 4_000 <= rig.state.retry_bytes + held < 4_200, "the last one may be over"
    assert rig.state.stall == ""
    while rig.sent:
        rig.answer(FINE)
    assert rig.state.delivered == 200
    rig.close()


def test_a_destination_that_is_off_reads_on_though_a_replay_waits_for_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path, limits=Limits(retry_rows=3, replay_window=3))
    rig.deliver("ann", "bob", "cid")
    replay(rig, 1, ReplayState(position=0, end=3))
    rig.answer(BUSY)
    rig.change(enabled=False)
    rig.append("dan")
    rig.pump()
    assert rig.state.position == 4
    rig.close()


def test_nothing_more_begins_while_too_much_waits_for_its_commit(tmp_path: Path) -> None:
    rig = Rig(tmp_path, limits=Limits(uncommitted=5))
    rig.append(*["ann"] * 20)
    rig.pump()
    for _ in range(5):
        rig.answer(FINE)
    assert not rig.sent
    rig.commit()
    assert rig.under_way() == [5]
    rig.close()


def test_the_oldest_dead_letters_lose_their_body_and_are_counted(tmp_path: Path) -> None:
    rig = Rig(tmp_path, limits=Limits(dead_letters=3))
    rig.append(*["ann"] * 5)
    rig.pump()
    for _ in range(5):
        rig.answer(BAD)
    rig.commit()
    letters = [letter for _, letter in rig.reader.dead_letters(DESTINATION, limit=10)]
    assert [letter.offset for letter in letters if letter.body] == [2, 3, 4]
    assert [(letter.offset, letter.reason) for letter in letters if not letter.body] == [
        (0, "BAD_REQUEST"),
        (1, "BAD_REQUEST"),
    ], "for explain"
    state = rig.reader.destinations()[DESTINATION]
    assert (state.dead_letters, state.dead_letters_cut, state.refused) == (3, 2, {"BAD_REQUEST": 5})
    rig.close()


# -- what cannot be read, and what is gone -----------------------------------------------------------------------------


def test_a_log_that_cannot_be_read_holds_up_only_reading_and_is_tried_again(rig: Rig) -> None:
    rig.append("ann", "ann")
    rig.pump()
    rig.log.fails = lambda: True
    rig.append("bob")
    rig.answer(FINE)
    assert rig.under_way() == [1]
    assert rig.at == rig.now + SECOND
    assert rig.state.stall
    rig.log.fails = lambda: False
    rig.wait_for_it()
    assert rig.under_way() == [1, 2]
    assert rig.state.stall == ""


def test_a_retry_row_that_cannot_be_read_now_is_sent_later(rig: Rig) -> None:
    rig.append("ann", "ann")
    rig.pump()
    rig.answer(BROKEN)
    rig.commit()
    rig.rows.fails = True
    rig.wait(2 * SECOND)
    assert not rig.sent
    assert rig.at == rig.now + SECOND
    rig.rows.fails = False
    rig.wait_for_it()
    rig.answer(FINE)
    rig.answer(FINE)
    assert rig.state.delivered == 2


def test_a_probe_whose_row_cannot_be_read_now_is_made_later(rig: Rig) -> None:
    opened(rig)
    rig.commit()
    rig.rows.fails = True
    rig.wait_for_it()
    assert not rig.sent
    rig.rows.fails = False
    rig.wait(SECOND)
    assert len(rig.sent) == 1


def test_what_retention_dropped_unread_is_counted_as_lost(rig: Rig) -> None:
    rig.append("ann", "bob")
    rig.append("cid", source="app")
    rig.append("dan")
    rig.log.begin = 3
    rig.pump()
    assert rig.state.refused == {"LOG_EXPIRED": 2}
    assert rig.under_way() == [3]
    assert balance(rig) == (3, 3)


# -- commits and crashes -----------------------------------------------------------------------------------------------


def test_after_a_crash_what_was_not_committed_is_sent_again_in_order(rig: Rig) -> None:
    rig.append("ann", "bob", "ann")
    rig.pump()
    rig.answer(FINE, 0)
    rig.commit()
    rig.answer(FINE, 1)
    rig.answer(FINE, 2)
    rig.crash()
    assert rig.under_way() == [1, 2]
    assert rig.state.delivered == 1


def test_retry_rows_and_unfinished_events_stand_in_their_lanes_again_after_a_crash(rig: Rig) -> None:
    rig.append("ann", "ann", "bob", "bob")
    rig.pump()
    rig.answer(BROKEN, 0)
    rig.commit()
    rig.crash()
    assert rig.under_way() == [2]
    assert rig.state.retrying == 2
    rig.wait_for_it()
    rig.answer(FINE)
    assert sorted(rig.under_way()) == [1, 3]


def test_a_parked_event_is_sent_while_the_commit_of_its_row_is_under_way(rig: Rig) -> None:
    rig.append("ann")
    rig.pump()
    rig.answer(BROKEN)
    delta = rig.delivery.take()
    rig.wait_for_it()
    assert rig.under_way() == [0]
    rig.answer(BROKEN)
    rig.wait_for_it()
    rig.answer(FINE)
    rig.writer.commit([delta])
    rig.delivery.committed()
    rig.commit()
    assert rig.reader._rows("SELECT * FROM retry") == []
    found = rig.reader.delivered(DESTINATION, 0)
    assert found is not None
    assert (found[0].history or b"").count(b'"at"') == 2, "both failed attempts are told of"


def test_a_failed_commit_is_repeated_with_the_same_changes_and_leaves_no_trace(rig: Rig) -> None:
    rig.append("ann", "bob")
    rig.pump()
    rig.answer(FINE, 0)
    delta = rig.delivery.take()
    with pytest.raises(Exception, match="datatype mismatch"):
        rig.writer.commit([delta, Delta(destination="x", state=DestinationState(position=0, passed={}))])  # type: ignore[arg-type]
    assert rig.reader.destinations() == {}
    rig.answer(FINE, 1)
    rig.writer.commit([delta])
    assert rig.reader.destinations()[DESTINATION].delivered == 1
    rig.delivery.committed()
    rig.commit()
    assert rig.reader.destinations()[DESTINATION].delivered == 2


# -- redrive -----------------------------------------------------------------------------------------------------------


def dead(rig: Rig, *users: str, answer: Response = BAD) -> None:
    rig.append(*users)
    rig.pump()
    while rig.sent:
        rig.answer(answer)


def test_redriven_events_are_sent_again_behind_what_waits_already(rig: Rig) -> None:
    dead(rig, "ann", "bob")
    rig.append("ann")
    rig.pump()
    rig.answer(BROKEN)
    rig.commit()
    rig.delivery.redrive(1, ["BAD_REQUEST"], [])
    assert rig.delivery.dirty
    rig.commit()
    assert rig.state.retrying == 3
    assert rig.under_way() == [1]
    rig.wait_for_it()
    rig.answer(FINE, 2)
    rig.answer(FINE)
    assert (rig.state.delivered, rig.state.refused, rig.state.dead_letters) == (3, {}, 0)
    rig.commit()
    assert rig.reader.replays()[1].matched == 2


def test_two_redrives_at_once_move_each_dead_letter_once(rig: Rig) -> None:
    dead(rig, "ann", "bob", "cid")
    rig.commit()
    rig.delivery.redrive(1, [], ["m0"])
    rig.delivery.redrive(2, [], [])
    for _ in range(3):
        rig.commit()
        stored = rig.reader.destinations()[DESTINATION]
        rows = rig.reader._rows("SELECT count(*) FROM retry")[0][0]
        assert stored.retrying == rows
        assert stored.retrying + sum(stored.refused.values()) + stored.delivered == 3
    assert sorted(rig.under_way()) == [0, 1, 2]
    assert [rig.reader.replays()[job].matched for job in (1, 2)] == [1, 2]


def test_a_redrive_sends_what_a_replay_refused_counted_to_that_replay_again(rig: Rig) -> None:
    rig.deliver("ann", "bob")
    replay(rig, 5, ReplayState(position=0, end=2))
    rig.answer(BAD)
    rig.commit()
    assert rig.reader.replays()[5].refused == 2
    assert not rig.delivery.ledger.replays
    assert (rig.state.refused, rig.state.dead_letters, rig.state.replayed_dead_letters) == ({}, 0, 2)
    rig.delivery.redrive(6, [], [])
    rig.commit()
    stored = rig.reader.replays()
    assert (stored[5].refused, stored[5].retrying, stored[5].is_over, stored[6].matched) == (0, 2, False, 2)
    assert balance(rig) == (2, 2)
    rig.crash()
    replay(rig, 5, stored[5])
    rig.wait_for_it() if not rig.sent else None
    rig.answer(FINE)
    rig.commit()
    stored = rig.reader.replays()
    assert (stored[5].delivered, stored[5].refused, stored[5].retrying, stored[5].is_over) == (2, 0, 0, True)
    assert (rig.state.delivered, rig.state.retry_bytes, rig.state.replayed_dead_letters) == (2, 0, 0)
    assert balance(rig) == (2, 2)


def test_a_redrive_of_what_a_forgotten_replay_refused_counts_it_anew(rig: Rig) -> None:
    rig.deliver("ann", "bob")
    replay(rig, 5, ReplayState(position=0, end=2))
    rig.answer(BAD)
    rig.commit()
    rig.writer.cut_jobs([5])
    for job, message_id in ((6, "m0"), (7, "m1")):
        rig.delivery.redrive(job, [], [message_id])
        rig.commit()
        rig.answer(FINE)
        rig.commit()
    counted = rig.reader.replays()[5]
    assert (counted.delivered, counted.refused, counted.is_over) == (2, 0, True)


def test_a_redrive_that_crashed_before_its_commit_can_be_asked_for_again(rig: Rig) -> None:
    dead(rig, "ann")
    rig.commit()
    rig.delivery.redrive(1, [], [])
    rig.delivery.take()
    rig.crash()
    assert rig.state.refused == {"BAD_REQUEST": 1}
    assert 1 not in rig.reader.replays()
    rig.delivery.redrive(1, [], [])
    rig.commit()
    assert rig.under_way() == [0]


def test_a_redrive_takes_no_more_than_there_is_room_for(tmp_path: Path) -> None:
    rig = Rig(tmp_path, limits=Limits(retry_rows=2))
    dead(rig, "ann", "bob", "cid")
    rig.commit()
    rig.delivery.redrive(1, [], [])
    rig.commit()
    assert rig.state.retrying == 2
    assert rig.state.dead_letters == 1
    rig.close()


def test_a_cut_of_dead_letters_leaves_what_a_redrive_has_chosen(tmp_path: Path) -> None:
    rig = Rig(tmp_path, limits=Limits(dead_letters=2))
    dead(rig, "ann", "bob")
    rig.commit()
    dead(rig, "cid")
    rig.delivery.redrive(1, [], ["m0"])
    rig.commit()
    state = rig.reader.destinations()[DESTINATION]
    assert (state.retrying, state.dead_letters, state.dead_letters_cut) == (1, 2, 0)
    rig.close()


# -- secrets, pace -----------------------------------------------------------------------------------------------------


def test_a_request_made_with_a_key_that_was_replaced_meanwhile_is_kept_without_that_key(rig: Rig) -> None:
    rig.append("ann")
    rig.pump()
    settings = settings_of(SINGLE, "key-1", 1)
    rig.change(settings=settings, mask=lambda body: body.replace(b"key-1", b"***"))
    rig.answer(BROKEN)
    (row,) = rig.delivery.take().parked
    assert b"key-0" not in row.history
    assert b"***" in row.history


# -- replays -----------------------------------------------------------------------------------------------------------


def replay(rig: Rig, job: int, state: ReplayState) -> Replay:
    made = Replay(job, lambda event: True, state, rig.delivery._records)
    rig.delivery.start_replay(job, made)
    rig.pump()
    return made


def test_a_replay_sends_once_more_beside_the_live_way_and_outside_the_balance(rig: Rig) -> None:
    rig.deliver("ann", "bob")
    rig.append("cid", name=SKIPPED)
    rig.append("dan")
    made = replay(rig, 1, ReplayState(position=0, end=3))
    assert sorted(rig.under_way()) == [0, 1, 3]
    rig.answer(FINE, 0)
    rig.answer(BAD, 1)
    rig.answer(FINE, 3)
    assert (made.state.matched, made.state.delivered, made.state.refused, made.state.filtered) == (3, 1, 1, 1)
    assert (rig.state.delivered, rig.state.refused) == (3, {})
    rig.commit()
    assert rig.reader.replays()[1].state == "done"
    assert rig.reader.replays()[1].is_over
    assert not rig.delivery.replays


def test_a_replayed_event_waits_for_those_of_its_user_that_are_on_their_way(rig: Rig) -> None:
    rig.deliver("ann")
    rig.append("ann")
    rig.pump()
    rig.answer(BROKEN)
    made = replay(rig, 1, ReplayState(position=0, end=1))
    assert not rig.sent
    assert made.state.retrying == 1
    rig.wait_for_it()
    assert rig.under_way() == [1]
    rig.answer(FINE)
    assert rig.under_way() == [0]


def test_a_replay_goes_on_after_a_crash_without_sending_what_is_committed(rig: Rig) -> None:
    rig.deliver("ann", "bob")
    replay(rig, 1, ReplayState(position=0, end=2))
    rig.answer(FINE, 0)
    rig.commit()
    rig.crash()
    stored = rig.reader.replays()[1]
    assert stored.unfinished == [1]
    assert not stored.is_over
    made = replay(rig, 1, stored)
    assert rig.under_way() == [1]
    rig.answer(FINE)
    assert (made.state.state, made.state.delivered, made.state.matched) == ("done", 2, 2)


def test_what_was_on_its_way_when_a_replay_was_cancelled_ends_as_it_would_also_after_a_crash(rig: Rig) -> None:
    rig.deliver("ann", "bob", "bob")
    made = replay(rig, 1, ReplayState(position=0, end=3))
    made.cancel(rig.delivery)
    rig.commit()
    rig.crash()
    stored = rig.reader.replays()[1]
    assert not stored.is_over, "the worker takes it up again"
    replay(rig, 1, stored)
    for offset in range(3):
        rig.answer(FINE, offset)
    rig.commit()
    ended = rig.reader.replays()[1]
    assert (ended.state, ended.delivered, ended.is_over) == ("cancelled", 3, True)


def test_retry_rows_of_a_replay_that_control_has_forgotten_are_still_sent_and_counted(rig: Rig) -> None:
    rig.deliver("ann")
    replay(rig, 1, ReplayState(position=0, end=1))
    rig.answer(BROKEN)
    rig.commit()
    rig.crash()
    assert rig.delivery.ledger.retry_rows() == 1
    rig.wait_for_it()
    rig.answer(FINE)
    rig.commit()
    assert rig.reader.replays()[1].delivered == 1
    assert rig.reader._rows("SELECT * FROM retry") == []


def test_rows_of_replays_count_for_the_bound_of_retry_rows(tmp_path: Path) -> None:
    rig = Rig(tmp_path, limits=Limits(retry_rows=3))
    rig.deliver(*["ann"] * 10)
    made = replay(rig, 1, ReplayState(position=0, end=10))
    rig.answer(BROKEN)
    rig.append("bob")
    rig.pump()
    assert made.state.retrying >= 3
    assert rig.state.stall
    assert not rig.sent
    rig.close()


def test_a_replay_of_what_the_log_no_longer_holds_begins_where_it_begins(rig: Rig) -> None:
    rig.deliver("ann", "bob", "cid")
    rig.commit()
    rig.log.begin = 2
    rig.crash()  # nothing of it is in memory any more
    made = replay(rig, 1, ReplayState(position=0, end=3))
    assert rig.under_way() == [2]
    rig.answer(FINE)
    assert made.state.state == "done"
    assert made.state.expired == 2


def test_what_a_replay_had_on_its_way_when_it_crashed_and_the_log_lost_meanwhile_is_counted(rig: Rig) -> None:
    rig.deliver("ann", "bob", "cid")
    replay(rig, 1, ReplayState(position=0, end=3))
    rig.answer(FINE, 2)
    rig.commit()
    rig.log.begin = 1
    rig.crash()
    made = replay(rig, 1, rig.reader.replays()[1])
    rig.answer(FINE)
    assert (made.state.matched, made.state.delivered, made.state.expired, made.state.state) == (3, 2, 1, "done")


def test_a_replay_whose_whole_part_of_the_log_is_gone_ends_there(rig: Rig) -> None:
    rig.deliver("ann", "bob", "cid")
    rig.commit()
    rig.log.begin = 3
    rig.crash()
    made = replay(rig, 1, ReplayState(position=0, end=2))
    assert (made.state.state, made.state.expired) == ("done", 2)
