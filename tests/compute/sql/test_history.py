"""Questions about a space's whole history, over the files that it writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segue.compute.parse import parse
from segue.compute.sql import Defined, answer, compare, preview
from segue.core.errors import Unavailable
from segue.lake import people
from segue.lake.history import history
from tests.compute.sql.space import START, Space

HOUR, DAY = 3_600_000, 86_400_000


@pytest.fixture
def space(tmp_path: Path) -> Iterator[Space]:
    with ExitStack() as stack:
        yield Space(tmp_path, stack)


def defined(**texts: str) -> dict[str, Defined]:
    return {
        key: Defined(tree=parse(text, "trait" if key.startswith("t_") else "audience"), id=number)
        for number, (key, text) in enumerate(texts.items(), 1)
    }


DEFINITIONS = defined(
    often="event('A').within(1 day).count() >= 2",
    t_sum="event('A').sum(property('v'))",
    t_last="event('B').within(2 hours).last(property('v'))",
    t_pages="event('Page Viewed').unique(property('page_name'))",
    rich="trait('t_sum') >= 5 AND NOT (audience('often'))",
    gold="trait('plan') = 'gold' OR event('B').where(property('v') > trait('least')).count() = 1",
)
USERS = ("u1", "u2", "u3", "u4")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("A"), st.sampled_from(USERS), st.integers(0, 3)),
        st.tuples(st.just("B"), st.sampled_from(USERS), st.integers(0, 3)),
        st.tuples(st.just("page"), st.sampled_from(USERS), st.integers(0, 3)),
        st.tuples(st.just("identify"), st.sampled_from(USERS), st.integers(0, 3)),
        st.tuples(st.just("merge"), st.sampled_from(USERS), st.integers(0, 3)),
        st.tuples(st.just("flush"), st.just(""), st.sampled_from([1, 3, 1_000])),
        st.tuples(st.just("refresh"), st.just(""), st.just(0)),
        st.tuples(st.just("compact"), st.just(""), st.just(0)),
    ),
    min_size=1,
    max_size=40,
)


def take(space: Space, step: str, user: str, number: int) -> None:
    """Each event is anonymous at first, so that an identify merges."""
    space.clock.now += HOUR // 3
    match step:
        case "A" | "B":
            t = space.clock.now - number * HOUR
            space.send("track", event=step, anonymousId=user, properties={"v": number}, t=t)
        case "page":
            space.send("page", name=f"P{number}", anonymousId=user)
        case "identify":
            traits = {"plan": ["gold", "free", None, "gold"][number], "least": number}
            space.send("identify", userId=user, anonymousId=user, traits=traits)
        case "merge":
            space.send("identify", userId=user, anonymousId=USERS[number])
        case "flush":
            space.flush(number)
        case "refresh":
            space.refresh()
        case "compact":
            space.lake.compact(space.clock.now + 10 * DAY, lambda: None)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, key=st.sampled_from(sorted(DEFINITIONS)), later=st.sampled_from([0, HOUR, DAY]))
def test_an_answer_is_that_of_all_events_wherever_they_are(tmp_path_factory, steps, key, later):
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setattr(people, "RECENT_LEAST", 2)
        space = Space(tmp_path_factory.mktemp("space"), stack)
        for step in steps:
            take(space, *step)
        at_ms = space.clock.now + later
        found = answer(space.files, DEFINITIONS, key, at_ms)
        assert found.values == space.expected(DEFINITIONS, key, at_ms)
        assert found.position == space.reader.state().position


def test_a_preview_has_the_count_some_members_and_their_identifiers(space: Space):
    for number in range(30):
        space.send("identify", userId=f"u{number}", traits={"email": f"{number}@x.io"} if number % 3 else {})
        space.send("track", event="A", userId=f"u{number}", properties={"v": number})
        if number == 20:
            space.flush()
            space.refresh()
    space.send("track", event="A", anonymousId="a", properties={"v": 99})
    wish = defined(big="event('A').where(property('v') >= 10).count() >= 1", t_v="event('A').max(property('v'))")
    found = preview(space.files, wish, "big", START + 1)
    assert (found.count, found.identifiers, found.at_ms) == (20, {"email": 14, "user_id": 20}, START + 1)
    assert len(found.samples) == 10
    assert found.position == space.reader.state().position
    values = preview(space.files, wish, "t_v", START + 1)
    assert (values.count, values.identifiers) == (31, {"anonymous_id": 1, "email": 20, "user_id": 30})
    assert {sample.value for sample in values.samples} <= {*map(str, range(30)), "99"}


def test_what_a_disabled_definition_said_last_is_what_it_says(space: Space):
    space.send("identify", userId="u1")
    space.send("identify", userId="u2")
    wish = defined(a="event('A').count() >= 1", b="audience('a')", c="trait('a') = 'false'")
    wish["a"] = Defined(tree=wish["a"].tree, id=1, frozen=True)
    space.hold(1, 1, "true", once=True)
    space.hold(1, 2, "false", once=True)
    assert [answer(space.files, wish, key, START).values for key in "abc"] == [{1: "true"}, {1: "true"}, {2: "true"}]


def test_what_is_held_is_compared_with_the_history(space: Space):
    for number in range(4):
        space.send("track", event="A", userId=f"u{number}")
    wish = defined(a="event('A').count() >= 1", t_n="event('A').count()")
    for profile in (1, 2, 3):
        space.hold(1, profile, "true", once=True)
        space.hold(2, profile, "1" if profile != 3 else "2")
    space.hold(2, 9, None)
    found = compare(space.files, wish, "a", START)
    assert (found.history, found.held, found.differing, found.differences) == (4, 3, 1, ((4, "true", None),))
    assert compare(space.files, wish, "t_n", START).differences == ((3, "1", "2"), (4, "1", None))


def test_an_empty_space_has_nobody(space: Space):
    wish = defined(none="event('A').count() = 0")
    assert preview(space.files, wish, "none", START).count == 0


def test_a_question_ends_when_it_is_cancelled(space: Space):
    space.send("track", event="A", userId="u1")
    with (
        pytest.raises(Unavailable, match="the question has no answer: it was cancelled"),
        history(space.files, {}, interruptible=lambda cancel: cancel()) as opened,
    ):
        opened.connection.execute("SELECT sum(a.i * b.i) FROM range(100000) a(i), range(1000000) b(i)").fetchall()


def test_a_question_ends_after_its_time(space: Space):
    space.send("track", event="A", userId="u1")
    with (
        pytest.raises(Unavailable, match=r"it took longer than 0\.05 s; name fewer events or shorter windows"),
        history(space.files, {}, seconds=0.05) as opened,
    ):
        opened.connection.execute("SELECT sum(a.i * b.i) FROM range(100000) a(i), range(1000000) b(i)").fetchall()


def test_events_of_several_names_are_told_apart(space: Space):
    for name in "ABC":
        space.send("track", event=name, userId=f"u{name}")
    wish = defined(a="event('A').count() = 1 OR event('B').count() = 1 OR event('C').count() = 2")
    space.flush()
    space.send("track", event="C", userId="uC")
    assert answer(space.files, wish, "a", START).values == {1: "true", 2: "true", 3: "true"}
