"""Random streams: what a space computes and says depends on the log and on time alone, not on when it was killed, how
it was driven, or since when there is a definition; and it is what the plain evaluator says.

`SEGUE_COMPUTER_CASES` says how many streams are tried.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from segue.compute.catching_up import Target
from segue.compute.parse import parse
from segue.compute.printing import print_definition
from segue.compute.telling import external_ids
from segue.compute.tuples import IdentityTuple, tuples
from segue.state.computations import ComputationKind, ComputationRow, ConnectionRow
from tests.compute.histories import DAY, HOUR, MINUTE
from tests.compute.staged import DESTINATION, OTHER, SETTLED_MS, SPACE, TARGETS, Log, Sizes, Staged, sizes
from tests.resolve.events import START_MS, iso

CASES = int(os.environ.get("SEGUE_COMPUTER_CASES", "40"))

PHASES = tuple(Phase) if "SEGUE_COMPUTER_CASES" not in os.environ else (Phase.generate,)
AUDIENCES = {
    "some": "event('A').count() >= 1",
    "often": "event('A').within(2 hours).count() >= 2",
    "lately": "event('B').within(1 days).count() >= 1",
    "before": "event('A').between(1 hours, 1 days).count() >= 1",
    "quiet": "event('B').count() = 0",
    "spender": "event('A').where(property('q') >= 3).sum(property('q')) > 4",
    "pro": "trait('plan') = 'pro' AND event('A').count() >= 1",
    "gone": "NOT (audience('lately')) AND audience('some')",
    "dear": "trait('total') >= 5",
    "fresh": "event('A').where(property('p') = trait('plan')).count() >= 1",
    "was": "trait('lately') = 'false'",
}
TRAITS = {
    "total": "event('A').sum(property('q'))",
    "latest": "event('A').last(property('p'))",
    "per_day": "event('A').within(1 days).count()",
    "kinds": "event('A').unique(property('p'))",
    "session": "event('A').expires_after(3600 seconds).count()",
    "first_b": "event('B').first(property('q'))",
    "most": "event('B').within(2 hours).max(property('q'))",
}
PAUSES = (0, 0, 1, MINUTE, MINUTE, 30 * MINUTE, HOUR - 1, HOUR, HOUR + 1, 2 * HOUR, DAY, 2 * DAY)
LATE = (0, 0, 0, 1, MINUTE, HOUR - 1, HOUR, DAY)


class Step(NamedTuple):
    """One event and when it comes; what befalls the worker after it; and a number to choose other things by."""

    event: dict[str, Any]
    later_ms: int
    late_ms: int
    then: str
    luck: int


def step(seed: int) -> Step:
    random = Random(seed)
    event: dict[str, Any] = {"type": random.choice(("identify", "track", "track", "track", "track", "page"))}
    if random.random() < 0.6:
        event["userId"] = random.choice(("u1", "u2", "u3"))
    if random.random() < 0.6 or "userId" not in event:
        event["anonymousId"] = random.choice(("a1", "a2", "a3", "a4"))
    if event["type"] == "identify":
        traits = {"email": random.choice((None, "e1", "e2")), "plan": random.choice(("free", "pro", "5"))}
        event["traits"] = {name: value for name, value in traits.items() if random.random() < 0.6}
    elif event["type"] == "track":
        event["event"] = random.choice(("A", "A", "A", "B", "B", "C"))
        event["properties"] = {"p": random.choice(("pro", "free", "5", None, 5)), "q": random.choice((0, 1, 2, 3, 7.5))}
    then = random.choice(("go on", "pump", "pump", "take", "land", "land", "commit", "die", "die untold", "unwritten"))
    return Step(event, random.choice(PAUSES), random.choice(LATE), then, random.getrandbits(30))


streams = st.lists(st.integers(0, 1 << 40).map(step), min_size=1, max_size=40)
bounds = st.builds(
    Sizes,
    st.sampled_from([1, 2, 100]),
    st.sampled_from([1, 3, 50]),
    st.sampled_from([2, 1_000]),
    st.sampled_from([1, 3, 50_000]),
)
CONNECTIONS = (ConnectionRow(destination=DESTINATION, identify=True, track=True),)


def row(number: int, key: str, definition: str = "", **more: Any) -> ComputationRow:
    kind: ComputationKind = "audience" if key in AUDIENCES else "computed_trait"
    connections = tuple(
        replace(each, id=100 * number + place) for place, each in enumerate(more.pop("to", CONNECTIONS))
    )
    text = definition or {**AUDIENCES, **TRAITS}[key]
    normal = print_definition(parse(text, "audience" if kind == "audience" else "trait"))
    return ComputationRow(
        id=number, space=SPACE.id, kind=kind, key=key, name=key, definition=normal, connections=connections, **more
    )


ROWS = [row(number, key) for number, key in enumerate({**AUDIENCES, **TRAITS}, 1)]


def log_of(stream: Sequence[Step]) -> Log:
    """A log that has it all."""
    log, now = Log(), START_MS
    for each in stream:
        now = enter(log, each, now)
    return log


def enter(log: Log, each: Step, now: int) -> int:
    """The event comes; gives when."""
    now += each.later_ms
    messages = {"messageId": f"m{len(log.entries)}", "timestamp": iso(now - each.late_ms)}
    log.append(now, {**each.event, **messages})
    return now


@contextmanager
def folders() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def befall(staged: Staged, then: str) -> None:
    """What happens to the worker now."""
    if then in ("land", "die untold"):
        staged.land(told=then == "land")
    if then in ("take", "unwritten"):
        staged.take()
    if then == "commit":
        staged.commit()
    if then in ("die", "die untold", "unwritten"):
        staged.die()
    elif then != "go on":
        staged.pump()


def said_well(staged: Staged) -> None:
    """Ids are unique; nobody is told an end without a beginning; the ledger and the last message say what is held."""
    assert [number for number, times in Counter(number for number, *_ in staged.said).items() if times > 1] == []
    connections = {(row.key, f"{each.destination}"): (each.id, row) for row in staged.rows for each in row.connections}
    last: dict[tuple[int, str], Any] = {}
    for _, destination, body in staged.said:
        key, who, value = spoken(json.loads(body))
        connection, _ = connections[key, destination]
        begun = {
            IdentityTuple.from_text(text).key_id
            for (number, text), found in last.items()
            if number == connection and not is_end(found)
        }
        assert not is_end(value) or (connection, who.text) in last or who.key_id in begun, "an end of nothing"
        last[connection, who.text] = value
    told = {(connection, text): (number, json.loads(value)) for connection, text, number, value, *_ in told_of(staged)}
    assert {place: value for place, (_, value) in told.items()}.items() <= last.items()
    holdings, people = staged.holdings(), staged.people()
    for connection, row in connections.values():
        off = False if row.kind == "audience" else None
        for person in people:
            value = json.loads(holdings[row.key].get(person.number) or json.dumps(off))
            for each in tuples(external_ids(person), include_anonymous=row.include_anonymous):
                known = told.pop((connection, each.text), (person.number, off))
                assert known == (person.number, value), (row.key, each)
    assert not told, "of those that are no more nothing is kept"


def is_end(value: Any) -> bool:
    return value is False or value is None


def told_of(staged: Staged) -> list[Any]:
    return staged.table("told")


def spoken(message: dict[str, Any]) -> tuple[str, IdentityTuple, Any]:
    """What a message is about, of whom, and the value."""
    key = message["context"]["personas"]["computation_key"]
    values = message["traits"] if message["type"] == "identify" else message["properties"]
    traits = message["traits"] if message["type"] == "identify" else message["context"].get("traits", {})
    return key, IdentityTuple(message.get("userId"), traits.get("email"), message.get("anonymousId")), values[key]


@given(streams, bounds)
@settings(max_examples=CASES, deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=PHASES)
def test_what_is_computed_and_said_does_not_depend_on_batches_restarts_or_lost_commits(
    stream: list[Step], most: Sizes
) -> None:
    most = most._replace(lead=1_000)  # what it says does not come back here
    with folders() as folder, sizes(most):
        whole = Staged(folder / "whole.db", log_of(stream), moving=False)
        log, whole.log.entries = whole.log.entries, []
        whole.use(*ROWS)
        whole.settle()
        whole.log.entries += log
        broken = Staged(folder / "broken.db", most=most, moving=False)
        broken.use(*ROWS)
        broken.settle()
        now = START_MS
        for each in stream:
            broken.go_to(now + each.luck % (each.later_ms + 1))
            befall(broken, "pump" if each.luck % 2 else "go on")
            now = enter(broken.log, each, now)
            broken.go_to(now)
            befall(broken, each.then)
        for staged in (whole, broken):
            staged.go_to(now + stream[0].luck % (3 * DAY))
            staged.settle()
        assert broken.holdings() == whole.holdings()
        for table in ("holding", "told", "identifier"):
            assert broken.table(table) == whole.table(table), table
        assert Counter(broken.said) == Counter(whole.said)
        assert broken.computed.state() == whole.computed.state()
        assert whole.holdings() == whole.expected()
        said_well(whole)
        whole.close()
        broken.close()


class Change(NamedTuple):
    """Something that an operator does before the step of this number."""

    before: int
    what: str
    which: int


changes = st.lists(
    st.builds(
        Change,
        st.integers(0, 40),
        st.sampled_from(("add", "add", "edit", "off", "on", "destination off", "destination on", "connect")),
        st.integers(0, 1_000),
    ),
    max_size=8,
)
OTHERS = {"audience": "event('A').count() >= 3", "computed_trait": "event('B').count()"}
ALSO = (
    *CONNECTIONS,
    ConnectionRow(destination=OTHER, identify=False, track=True),
)
SLOW = (ConnectionRow(destination=DESTINATION, every_ms=HOUR),)


class Operator:
    """Changes definitions and destinations of a space; at the end all of them are as they are to be."""

    def __init__(self, staged: Staged, first: int) -> None:
        self._staged = staged
        self.rows = dict(enumerate(ROWS[:first]))
        staged.use(*self.rows.values())

    def do(self, what: str, which: int) -> None:
        """One change."""
        staged, number = self._staged, which % len(ROWS)
        if what == "add":
            self.rows.setdefault(number, final(number, staged.clock.now))
        elif what.startswith("destination"):
            staged.targets = {**TARGETS, OTHER: Target("Planhat", what.endswith("on"))}
        elif number in self.rows:
            old = self.rows[number]
            self.rows[number] = {
                "edit": replace(old, definition=OTHERS[old.kind]),
                "off": replace(old, enabled=False),
                "on": replace(old, enabled=True),
                "connect": replace(old, connections=final(number, 0).connections),
            }[what]
        staged.use(*self.rows.values())

    def finish(self) -> None:
        """Everything there is to be, as it is to be."""
        now = self._staged.clock.now
        self.rows = {
            number: replace(
                self.rows.get(number) or final(number, now),
                enabled=True,
                definition=ROWS[number].definition,
                connections=final(number, now).connections,
            )
            for number in range(len(ROWS))
        }
        self._staged.targets = TARGETS
        self._staged.use(*self.rows.values())


def final(number: int, now: int) -> ComputationRow:
    """How a computation ends up: some with two connections, some with a cadence, some without a past."""
    to = SLOW if number % 5 == 2 else ALSO if number % 2 else CONNECTIONS
    key = ROWS[number].key
    historical = key not in ("first_b", "spender")
    anonymous = key in ("some", "total", "dear")
    return row(number + 1, key, to=to, created_at=now, historical=historical, include_anonymous=anonymous)


@example(  # everybody came while the commit was written that the definitions waited for
    [step(70), step(70), step(18_597_675_503)], Sizes(1, 3), [Change(0, "connect", 136)], 15, None
)
@given(streams, bounds, changes, st.integers(0, len(ROWS)), st.sampled_from((None, None, 2 * DAY)))
@settings(max_examples=CASES, deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=PHASES)
def test_whenever_a_definition_came_everybody_holds_and_was_told_what_it_says(
    stream: list[Step], most: Sizes, plan: list[Change], first: int, keep_ms: int | None
) -> None:
    with folders() as folder, sizes(most):
        staged = Staged(folder / "space.db", most=most)
        staged.keep_ms = keep_ms
        operator = Operator(staged, first)
        now = START_MS
        for number, each in enumerate(stream):
            staged.go_to(now + each.luck % (each.later_ms + 1))
            for change in plan:
                if change.before == number:
                    operator.do(change.what, change.which)
            if each.luck % 2:
                staged.pump()
            if each.luck % 3 == 0:
                staged.move()
            if each.luck % 5 == 0:
                staged.deliver()
            now = enter(staged.log, each, max(now, staged.clock.now) - each.later_ms)
            staged.go_to(now)
            befall(staged, each.then)
        operator.finish()
        staged.settle()
        staged.go_to(staged.clock.now + stream[0].luck % (3 * DAY) + HOUR)
        staged.settle()
        assert staged.holdings() == staged.expected()
        said_well(staged)
        staged.close()


def entered(staged: Staged, instant: int, user: str, event: str = "A") -> None:
    staged.go_to(instant)
    number = f"m{len(staged.log.entries)}"
    fields = {"type": "track", "userId": user, "event": event, "messageId": number, "timestamp": iso(instant)}
    staged.log.append(instant, fields)


def exits(staged: Staged) -> list[tuple[str, str]]:
    """Who was told to be out, and the instant that it was said of, in order."""
    found = [json.loads(body) for _, _, body in staged.said]
    return [(each["userId"], each["timestamp"]) for each in found if each.get("event") == "Audience Exited"]


@pytest.mark.parametrize("down", [False, True], ids=["up", "down"])
def test_who_does_nothing_leaves_at_the_instant_at_which_the_window_closes(tmp_path: Path, down: bool) -> None:
    staged = Staged(tmp_path / "space.db")
    staged.use(row(1, "often", "event('A').within(2 hours).count() >= 1"))
    staged.settle()
    for place, user in enumerate(("u1", "u2", "u3")):
        entered(staged, START_MS + place * MINUTE, user)
    staged.settle()
    assert exits(staged) == []
    if down:
        staged.die()
        staged.go_to(START_MS + 31 * DAY)
        staged.settle()
        expected = [(f"u{place + 1}", iso(START_MS + 2 * HOUR + place * MINUTE)) for place in range(3)]
    else:
        staged.go_to(START_MS + 2 * HOUR - 1)
        staged.settle()
        assert exits(staged) == []
        staged.go_to(START_MS + 2 * HOUR + SETTLED_MS)
        staged.settle()
        expected = [("u1", iso(START_MS + 2 * HOUR))]
    assert exits(staged) == expected
    assert len(staged.holdings()["often"]) == 3 - len(expected)
    staged.close()


def test_an_event_that_is_read_late_comes_after_what_time_had_done_before_it(tmp_path: Path) -> None:
    staged = Staged(tmp_path / "space.db")
    staged.use(row(1, "often", "event('A').within(2 hours).count() >= 1"))
    staged.settle()
    entered(staged, START_MS, "u1")
    staged.settle()
    entered(staged, START_MS + 3 * HOUR, "u1")
    staged.die()
    staged.settle()
    assert exits(staged) == [("u1", iso(START_MS + 2 * HOUR))]
    assert staged.holdings() == {"often": {1: "true"}}
    said = [json.loads(body)["timestamp"] for _, _, body in staged.said]
    assert said == sorted(said)
    staged.close()


def test_what_changed_just_before_the_instant_of_a_cadence_is_told_at_it(tmp_path: Path) -> None:
    staged = Staged(tmp_path / "space.db")
    staged.use(row(1, "often", to=(ConnectionRow(destination=DESTINATION, every_ms=HOUR),)))
    staged.go_to(START_MS)
    staged.settle()
    entered(staged, START_MS + MINUTE, "u1")
    entered(staged, START_MS + MINUTE, "u1")
    staged.settle()
    assert staged.said == []
    staged.go_to(START_MS + 3 * HOUR)
    staged.settle()
    assert staged.said == [], "it was in and out before any was told: nothing is left to be told"
    entered(staged, START_MS + 3 * HOUR + MINUTE, "u1")
    entered(staged, START_MS + 3 * HOUR + MINUTE, "u1")
    staged.go_to(START_MS + 4 * HOUR)
    staged.settle()  # the events are read and the cadence has its instant in one turn
    assert [json.loads(body)["traits"]["often"] for _, _, body in staged.said] == [True]
    staged.close()
