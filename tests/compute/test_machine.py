"""The machine: what it looks at, what it keeps, and that neither grows with the history."""

from __future__ import annotations

from typing import Any

import pytest

from segue.compute.asking import Person
from segue.compute.history import Occurrence
from segue.compute.leaves import Leaves, encode
from segue.compute.machine import Machine
from segue.compute.mistakes import Mistaken
from segue.compute.parse import parse
from segue.compute.program import Compiled, Program
from segue.compute.windows import Reach
from segue.core.profile import ExternalId
from tests.compute.histories import DAY, HOUR, MINUTE, T0, track, version
from tests.compute.worlds import Held, Rows, World, compiled

U1 = ExternalId("user_id", "u1")
ANON = ExternalId("anonymous_id", "a1")


def of(number: int, key: str, text: str, **more: Any) -> Compiled:
    """A definition; what begins with `t_` is a computed trait."""
    return compiled(number, key, parse(text, "trait" if key.startswith("t_") else "audience"), **more)


def fields(t: int, name: str = "A", **more: Any) -> dict[str, Any]:
    """An event that was received when it happened."""
    found = {"t": t, "received_at": t, "message_id": f"m{t}", "source": "web", "type": "track", "name": name}
    return {**found, **more}


class Space:
    """A machine with one profile."""

    def __init__(self, *definitions: Compiled, ids: tuple[ExternalId, ...] = (U1,)) -> None:
        self.rows = Rows()
        self.machine = Machine(Program(definitions), self.rows)
        self.leaves = Leaves()
        self.person = Person({}, ids)
        self.held: dict[int, Held] = {}
        self.due: int | None = None

    def add(self, occurrence: Occurrence) -> dict[int, str | None]:
        return self.evaluate(self.machine.add(self.leaves, 1, occurrence), occurrence.received_at)

    def evaluate(self, touched: Any, at_ms: int) -> dict[int, str | None]:
        found = self.machine.evaluate(self.leaves, 1, self.person, self.held, touched, at_ms)
        for id_, value in found.values.items():
            before = self.held.get(id_, Held(None))
            self.held[id_] = Held(value, before.once or value == "true")
        self.due = found.due
        return found.values


def test_an_event_touches_only_what_names_it_and_lets_it_pass():
    space = Space(
        of(1, "a", "event('A').count() >= 2"),
        of(2, "b", "event('B').count() >= 1"),
        of(3, "c", "event('A').where(property('p') = 5).count() >= 1"),
        of(4, "d", "event('A').sources(exclude: 'web').count() >= 1"),
    )
    assert space.add(track("A", T0)) == {1: "false"}
    assert space.add(track("C", T0)) == {}
    assert space.add(track("A", T0 + 1, {"p": 5})) == {1: "true", 3: "true"}


def test_who_refers_is_asked_again_only_when_the_other_changed():
    space = Space(of(1, "vip", "event('A').count() >= 2"), of(2, "plain", "NOT (audience('vip'))"))
    assert space.machine.program.of_everybody == {2}
    space.evaluate(space.machine.program.of_everybody, T0)
    assert space.add(track("A", T0)) == {1: "false"}
    assert space.add(track("A", T0 + 1)) == {1: "true", 2: "false"}
    assert space.add(track("A", T0 + 2)) == {1: "true"}


def test_references_are_answered_in_order_whatever_the_ids():
    space = Space(
        of(1, "top", "NOT (audience('mid'))"),
        of(2, "mid", "audience('low') AND trait('t_n') >= 1"),
        of(3, "low", "event('A').count() >= 1"),
        of(4, "t_n", "event('A').count()"),
    )
    assert space.add(track("A", T0)) == {3: "true", 4: "1", 2: "true", 1: "false"}


def test_a_circle_is_refused():
    with pytest.raises(Mistaken, match="circle"):
        Program([of(1, "a", "audience('b')"), of(2, "b", "audience('a')")])


def test_an_audience_of_everybody_is_one_that_is_true_of_who_did_nothing():
    program = Program(
        [
            of(1, "none", "event('A').count() = 0"),
            of(2, "some", "event('A').count() = 1"),
            of(3, "lacks", "NOT (trait('x') = 1)"),
            of(4, "t_n", "event('A').count()"),
            of(5, "anonymous", "NOT (audience('none'))", include_anonymous=True),
            of(6, "off", "event('A').count() = 0", evaluates=False),
            of(7, "absent", "trait('t_n').absent() AND event('A').sum(property('v')) < 1"),
        ]
    )
    assert program.of_everybody == {1, 3, 5, 7}
    assert program.all_evaluated == {1, 2, 3, 4, 5, 7}


def test_a_trait_concerns_who_names_it_wherever():
    program = Program(
        [
            of(1, "a", "trait('x.y') = 1"),
            of(2, "b", "event('A').where(property('p') > trait('x')).count() >= 1"),
            of(3, "c", "trait('t_n') = 1"),
            of(4, "t_n", "event('A').count()"),
        ]
    )
    assert program.by_trait("x") == {1, 2}
    assert program.by_trait("t_n") == frozenset(), "a computed key owns its name"
    assert program.by_trait("z") == frozenset()
    assert program.dependents == {4: {3}}
    assert program.names == {"A"} and program.watches("A") and not program.watches("B")


def test_an_id_that_is_gained_lets_in_whoever_was_to_be_let_in():
    space = Space(
        of(1, "a", "event('A').count() >= 1"),
        of(2, "b", "audience('a')", include_anonymous=True),
        of(3, "c", "trait('x') = 1"),
        of(4, "d", "event('A').count() = 0"),
        of(5, "e", "event('B').count() = 1"),
        ids=(ANON,),
    )
    assert space.add(track("A", T0)) == {1: "false", 4: "false"}
    space.person = Person({"x": version(1, T0)}, (ANON, U1))
    concerned = space.machine.program.concerned(space.leaves, space.held, space.person.traits)
    assert concerned == {1, 2, 3, 4}
    assert space.evaluate(concerned, T0) == {1: "true", 2: "true", 3: "true", 4: "false"}


def test_what_is_being_built_takes_events_and_says_nothing():
    old = of(1, "a", "event('A').count() >= 1")
    new = of(1, "a", "event('A').count() >= 2", generation=2, evaluates=False)
    space = Space(old, new, of(2, "b", "audience('a')"))
    assert space.add(track("A", T0)) == {1: "true", 2: "true"}
    space.machine = Machine(Program([new_ := of(1, "a", "event('A').count() >= 2", generation=2)]), space.rows)
    assert new_.evaluates
    assert space.evaluate({1}, T0 + 1) == {1: "false"}
    assert len(space.leaves.states) == 1, "the generation before is gone"
    assert space.add(track("A", T0 + 2)) == {1: "true"}


def test_the_past_can_be_fed_by_a_machine_that_knows_only_what_is_built():
    live, built = of(1, "a", "event('A').count() >= 2"), of(2, "b", "event('A').count() >= 2", evaluates=False)
    space = Space(live, built)
    space.add(track("A", T0))
    feeding = Machine(Program([built]), space.rows)
    assert feeding.add(space.leaves, 1, track("A", T0 - DAY)) == {2}
    space.machine = Machine(Program([live, of(2, "b", "event('A').count() >= 2")]), space.rows)
    assert space.evaluate({1, 2}, T0) == {1: "false", 2: "true"}


def test_what_is_disabled_is_read_as_it_was_held():
    space = Space(
        of(1, "a", "event('A').count() = 0", frozen=True, evaluates=False),
        of(2, "b", "audience('a')"),
        of(3, "c", "trait('a') = 'false'"),
    )
    assert space.add(track("A", T0)) == {}
    assert space.evaluate({1, 2, 3}, T0) == {2: "false", 3: "false"}
    space.held[1] = Held("true", once=True)
    assert space.evaluate({2, 3}, T0) == {2: "true", 3: "false"}
    space.held[1] = Held("false", once=True)
    assert space.evaluate({2, 3}, T0) == {2: "false", 3: "true"}


def test_nothing_is_left_of_a_window_that_has_passed():
    space = Space(of(1, "a", "event('A').within(1 day).count() >= 1"))
    space.add(track("A", T0))
    assert space.due == T0 + DAY
    assert space.evaluate((), T0 + DAY) == {1: "false"}
    assert (space.due, space.leaves.states, space.leaves.due) == (None, {}, {})


def test_a_timer_waits_for_the_threshold_and_not_for_every_event():
    space = Space(of(1, "a", "event('A').within(7 days).count() >= 2"))
    for hour in range(10):
        space.add(track("A", T0 + hour * HOUR))
    assert space.due == T0 + 8 * HOUR + 7 * DAY
    (state,) = space.leaves.states.values()
    assert len(state.counting.head) == 2, "no more is kept than the threshold asks for"


@pytest.mark.parametrize(
    "text",
    [
        "event('A').count() >= 5",
        "event('A').within(30 days).count() >= 5",
        "event('A').within(30 days).count() > 5000",
        "event('A').within(30 days).sum(property('v')) > 10",
        "event('A').between(1 day, 30 days).sum(property('v')) > 10",
        "event('A').within(30 days).max(property('v')) > 10",
        "event('A').within(30 days).min(property('v')) > 10",
        "event('A').within(30 days).first(property('v')) > 10",
        "event('A').within(30 days).last(property('v')) > 10",
        "event('A').expires_after(1800 seconds).sum(property('v'))",
        "event('A').where(property('v') > trait('x')).count()",
    ],
)
def test_what_is_written_for_an_event_does_not_grow_with_the_history(text):
    space = Space(of(1, "t_a" if text.endswith(("))", "count()")) else "a", text))
    written = []
    for n in range(4_000):
        space.machine.add(space.leaves, 1, track("A", T0 + n * MINUTE, {"v": n}))
        before = dict(space.rows.bodies)
        space.rows.keep(space.machine)
        changed = [body for key, body in space.rows.bodies.items() if before.get(key) != body]
        written.append(len(encode(space.leaves)) + sum(len(body) for body in changed))
    assert max(written[2_000:]) < 1.2 * max(written[1_000:2_000]) < 80_000


def test_a_late_event_joins_a_session_only_within_its_span():
    space = Space(of(1, "t_n", "event('A').expires_after(1800 seconds).count()"))
    for minutes, received, expected in [(0, 0, "1"), (50, 50, "1"), (20, 51, "1"), (21, 52, "4")]:
        occurrence = track("A", T0 + minutes * MINUTE, received_at=T0 + received * MINUTE)
        assert space.add(occurrence) == {1: expected}, minutes


def test_sums_are_exact_beyond_what_msgpack_holds():
    space = Space(
        of(1, "t_s", "event('A').sum(property('v'))"), of(2, "t_w", "event('A').within(1 day).sum(property('v'))")
    )
    large = 10**18 - 1
    for n in range(50):
        space.add(track("A", T0 + n, {"v": large}))
        space.add(track("A", T0 + n, {"v": -large if n % 2 else "0.000000001"}, message_id=f"n{n}"))
    expected = 50 * large - 25 * large
    assert space.evaluate((), T0 + 60) == {}
    assert abs(float(space.held[1].value or 0) - expected) <= abs(expected) * 1e-15
    assert space.held[1].value == space.held[2].value
    space.evaluate((), T0 + 2 * DAY)
    assert space.held[2].value == "0"


def test_values_come_out_as_canonical_json():
    space = Space(
        of(1, "t_first", "event('A').first(property('v'))"),
        of(2, "t_unique", "event('A').unique(property('v'))"),
        of(3, "t_avg", "event('A').avg(property('n'))"),
        of(4, "t_none", "event('A').last(property('x'))"),
    )
    found = space.add(track("A", T0, {"v": {"ä": [1.5, 10**30]}, "n": 0.1}))
    assert found == {1: f'{{"ä":[1.5,{10**30}]}}', 2: f'["{{\\"ä\\":[1.5,{10**30}]}}"]', 3: "0.1"}
    assert space.held.get(4) is None


def test_retention_takes_a_computed_trait_away_with_its_last_event():
    space = Space(of(1, "t_n", "event('A').within(1 day).count()", reach=Reach(retention_ms=3 * DAY)))
    space.add(track("A", T0))
    assert space.evaluate((), T0 + DAY) == {1: "0"}
    assert space.due == T0 + 3 * DAY
    assert space.evaluate((), T0 + 3 * DAY) == {1: None}
    assert (space.due, space.leaves.states) == (None, {})


def test_merged_profiles_leave_nothing_of_the_absorbed_one():
    world = World([of(1, "t_first", "event('A').within(1 day).first(property('v'))")], T0)
    world.join(1, U1)
    world.join(2, ANON)
    for n in range(1_500):
        world.at_ms = T0 + n
        profile = world.profiles[1 + n % 2]
        world.happen(profile, fields(T0 + n, properties=f'{{"v":{n}}}'))
    world.rows.keep(world.machine)
    assert {key[0] for key in world.rows.bodies} == {1, 2}
    world.merge(world.profiles[1], world.profiles[2])
    world.check()
    world.check_rows()
    assert {key[0] for key in world.rows.bodies} == {1}


def test_all_of_a_profile_can_be_forgotten():
    space = Space(of(1, "t_first", "event('A').within(1 day).first(property('v'))"))
    for n in range(1_000):
        space.add(track("A", T0 + n, {"v": n}))
    space.rows.keep(space.machine)
    assert space.rows.bodies
    space.machine.forget(space.leaves, 1)
    space.rows.keep(space.machine)
    assert not space.rows.bodies and not space.leaves.states and space.leaves.next_due is None
