"""What a space says: for whom it is, from when on a destination reads it, and in which order it goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from segue.core.event import Record
from segue.deliver.plan import is_addressed
from segue.deliver.replay import Replay
from segue.log.tail import Tail
from segue.state.deliveries import ReplayState
from tests.deliver.rig import BROKEN, DESTINATION, FINE, Rig

SPACE = "space:prod"
US, OTHERS = str(DESTINATION), "70,8"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    found = Rig(tmp_path)
    yield found
    found.close()


def say(rig: Rig, destinations: str, profile: str = "use_1", **ids: str) -> int:
    """The space says something of a profile to these destinations."""
    body = {"type": "identify", **ids}
    return rig.log.append(SPACE, body, rig.now, destinations=destinations, user_key=profile)


def told_from(rig: Rig, ordinal: int) -> None:
    rig.change(sources=frozenset({"web", SPACE}), since={SPACE: ordinal})


def test_a_record_names_the_destinations_that_it_is_for() -> None:
    def record(destinations: str | None) -> Record:
        return Record(0, 0, 0, SPACE, 1, "identify", "", "m", destinations, b"{}")

    assert is_addressed(record(None), 7)
    assert is_addressed(record("7"), 7)
    assert is_addressed(record("17,7,70"), 7)
    assert not is_addressed(record("17,70"), 7)
    assert not is_addressed(record(""), 7)


def test_what_is_for_others_is_filtered_and_the_balance_holds(rig: Rig) -> None:
    told_from(rig, 0)
    (mine, _, shared) = say(rig, US, userId="a"), say(rig, OTHERS, userId="b"), say(rig, f"70,{US}", userId="c")
    rig.pump()
    assert rig.under_way() == [mine, shared]
    rig.answer(FINE)
    rig.commit()
    assert rig.state.filtered == {"NOT_ADDRESSED": 1}
    assert rig.state.passed == {SPACE: 3}
    assert rig.state.delivered == 2


def test_what_was_said_before_it_was_told_too_is_passed_over_uncounted(rig: Rig) -> None:
    rig.change(stall="wait")
    say(rig, OTHERS)
    say(rig, OTHERS)
    told_from(rig, 2)
    third = say(rig, US)
    rig.change(stall="")
    assert rig.under_way() == [third]
    assert rig.state.passed == {SPACE: 3}
    assert rig.state.filtered == {}


def test_a_cursor_that_was_further_when_word_came_counts_what_it_read_past(rig: Rig) -> None:
    say(rig, OTHERS)
    say(rig, OTHERS)
    say(rig, OTHERS)
    rig.pump()
    assert rig.state.filtered == {}
    told_from(rig, 1)
    assert rig.state.filtered == {"NOT_ADDRESSED": 2}
    assert rig.state.passed == {SPACE: 3}
    rig.commit()
    rig.crash()
    told_from(rig, 1)
    assert rig.state.filtered == {"NOT_ADDRESSED": 2}


def test_what_retention_dropped_is_lost_from_where_it_began_to_read(rig: Rig) -> None:
    rig.change(stall="wait")
    for _ in range(5):
        say(rig, US)
    told_from(rig, 2)
    rig.log.begin = 4
    rig.change(stall="")
    assert rig.state.refused == {"LOG_EXPIRED": 2}
    assert rig.under_way() == [4]
    assert rig.state.passed == {SPACE: 5}


def test_while_it_is_off_all_that_it_reads_counts_as_such(rig: Rig) -> None:
    rig.change(enabled=False)
    told_from(rig, 1)
    say(rig, US)
    say(rig, US)
    say(rig, OTHERS)
    rig.pump()
    assert rig.state.filtered == {"DESTINATION_DISABLED": 2}


def test_who_has_neither_id_is_kept_in_order_by_the_profile(rig: Rig) -> None:
    told_from(rig, 0)
    first, second, other = say(rig, US, "use_1"), say(rig, US, "use_1"), say(rig, US, "use_2")
    rig.pump()
    assert rig.under_way() == [first, other]
    rig.answer(BROKEN, first)
    assert rig.under_way() == [other]
    assert rig.state.retrying == 2
    rig.commit()
    rig.crash()
    rig.answer(FINE, other)
    rig.wait_for_it()
    assert rig.under_way() == [first]
    rig.answer(FINE)
    assert rig.under_way() == [second]


def test_an_id_of_a_message_keeps_its_place_among_the_events_of_that_user(rig: Rig) -> None:
    told_from(rig, 0)
    (event,) = rig.append("u1")
    message = say(rig, US, "u1", userId="u1")
    rig.pump()
    assert rig.under_way() == [event]
    rig.answer(FINE)
    assert rig.under_way() == [message]


def test_a_replay_sends_what_was_for_this_destination_and_filters_the_rest(rig: Rig) -> None:
    told_from(rig, 0)
    say(rig, US)
    say(rig, OTHERS)
    rig.pump()
    rig.answer(FINE)
    replay = Replay(1, lambda _: True, ReplayState(position=0, end=2), Tail(rig.log))
    rig.delivery.start_replay(1, replay)
    rig.pump()
    assert rig.under_way() == [0]
    assert (replay.state.matched, replay.state.filtered) == (2, 1)
