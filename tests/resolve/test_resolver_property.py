"""Random streams: the resolver agrees with the plain oracle, and batching, restarts and repeats change nothing."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from segue.core.event import Event, Record
from segue.core.profile import DEFAULT_RULES, PERIOD_MS, IdentifierRule, IdentityRules, Profile
from segue.resolve.resolver import Resolver
from segue.state.profile_rows import Demotion, ProfilesDelta, ProfilesState
from tests.resolve.events import START_MS, entry
from tests.resolve.oracle import Oracle
from tests.resolve.rig import Rig

DAY = 86_400_000
RULES = (
    DEFAULT_RULES,
    IdentityRules(
        identifiers=(
            IdentifierRule(type="user_id", limit=1),
            IdentifierRule(type="anonymous_id", limit=2, per="day"),
            IdentifierRule(type="email", limit=1),
        ),
        blocked=("nobody",),
    ),
    IdentityRules(
        identifiers=(
            IdentifierRule(type="email", limit=2),
            IdentifierRule(type="user_id", limit=3, per="week"),
            IdentifierRule(type="anonymous_id", limit=100),
        ),
        blocked=("u1",),
    ),
)


class Step(NamedTuple):
    """One event, its place in time, the rules of that moment; and what befalls the worker after it."""

    fields: dict[str, Any]
    later_ms: int
    late_ms: int
    rules: IdentityRules
    then: str


def some(*values: str | None) -> st.SearchStrategy[str | None]:
    return st.sampled_from(values)


@st.composite
def steps(draw: st.DrawFn) -> Step:
    traits = {"email": draw(some(None, None, "e1", "e2", "e3")), "plan": draw(some(None, "free", "pro"))}
    fields = {
        "type_": draw(st.sampled_from(("identify", "identify", "track", "group", "alias"))),
        "userId": draw(some(None, None, "u1", "u2", "u3")),
        "anonymousId": draw(some(None, "a1", "a2", "a3", "a4", "nobody")),
        "traits": {name: value for name, value in traits.items() if value is not None or draw(st.booleans())},
        "context": draw(st.sampled_from(({}, {}, {"traits": {"email": "e1"}}, {"traits": {"email": "e4"}}))),
    }
    if fields["type_"] == "group":
        fields["groupId"] = draw(st.sampled_from(("g1", "g2", "nobody")))
    return Step(
        fields,
        draw(st.sampled_from((0, 1, 1_000, DAY, 8 * DAY))),
        draw(st.sampled_from((0, 0, 5, 2 * DAY))),
        draw(st.sampled_from((*(RULES[0],) * 4, *RULES))),
        draw(st.sampled_from(("go on", "go on", "take", "land", "land", "die", "die untold"))),
    )


def log_of(stream: Sequence[Step]) -> list[tuple[Record, Event]]:
    made, now = [], START_MS
    for offset, step in enumerate(stream):
        now += step.later_ms
        fields = {name: value for name, value in step.fields.items() if value is not None}
        made.append(entry(offset, received_at=now, t=now - step.late_ms, **fields))
    return made


class Nothing:
    """The rows of a space that never commits."""

    def state(self) -> ProfilesState:
        return ProfilesState()

    def find(self, *_: object) -> Profile | None:
        return None

    def profile(self, number: int) -> Profile | None:
        return None

    def linked(self, users: Sequence[int], account: int) -> bool:
        return False

    def demotions(self, number: int) -> list[Demotion]:
        return []


STREAMS = st.lists(steps(), min_size=1, max_size=60) | st.lists(steps(), min_size=25, max_size=60)


@given(STREAMS)
@settings(max_examples=80, deadline=None)
def test_the_resolver_agrees_with_the_plain_oracle(stream: list[Step]):
    resolver, oracle = Resolver(space=1, rules=DEFAULT_RULES, rows=Nothing()), Oracle()
    numbers: set[int] = set()
    for step, (record, event) in zip(stream, log_of(stream), strict=True):
        resolver.use(step.rules)
        resolved = resolver.apply(record, event)
        assert resolved is not None
        oracle.apply(json.loads(record.body), step.rules, resolved.cause.order)
        numbers |= {number for number in (resolved.profile, resolved.account) if number is not None}
        numbers -= set(resolved.merged)
    assert {number: seen(resolver.profile(number)) for number in numbers} == {
        number: (set(person.ids), {name: value for name, (_, value) in person.traits.items()}, person.absorbed)
        for number, person in (oracle.users | oracle.accounts).items()
    }
    state = resolver.state
    assert state.skipped == oracle.skipped
    assert (state.users, state.accounts) == (len(oracle.users), len(oracle.accounts))


def seen(profile: Profile) -> tuple[set[tuple[str, str]], dict[str, Any], set[int]]:
    values = {name: json.loads(trait.value) for name, trait in profile.traits.items()}
    return {(linked.type, linked.id) for linked in profile.ids}, values, set(profile.absorbed)


@given(STREAMS)
@settings(max_examples=60, deadline=None)
def test_no_limit_is_ever_newly_broken(stream: list[Step]):
    resolver = Resolver(space=1, rules=DEFAULT_RULES, rows=Nothing())
    counts: dict[tuple[int, str], int] = {}
    for step, (record, event) in zip(stream, log_of(stream), strict=True):
        resolver.use(step.rules)
        before = {number: [*resolver.profile(number).ids] for number in {number for number, _ in counts}}
        resolved = resolver.apply(record, event)
        assert resolved is not None
        for number in resolved.merged:
            counts = {key: count for key, count in counts.items() if key[0] != number}
        if resolved.profile is None:
            continue
        for rule in step.rules.identifiers:
            within = PERIOD_MS[rule.per]
            since = -1 if within is None else record.received_at - within
            parts = [before[number] for number in (resolved.profile, *resolved.merged) if number in before]
            was = max((count_of(part, rule.type, since) for part in parts), default=0)
            now = count_of(resolver.profile(resolved.profile).ids, rule.type, since)
            assert now <= max(rule.limit, was)
            counts[resolved.profile, rule.type] = now


def count_of(ids: Sequence[Any], type_: str, since: int) -> int:
    return sum(linked.type == type_ and linked.cause.received_at > since for linked in ids)


@given(STREAMS, st.sampled_from((1, 2, 1_000)))
@settings(max_examples=50, deadline=None)
def test_the_rows_do_not_depend_on_batches_restarts_or_repeats(stream: list[Step], capacity: int):
    log = log_of(stream)
    with tempfile.TemporaryDirectory() as folder:
        whole = Rig(Path(folder) / "whole.db")
        broken = Rig(Path(folder) / "broken.db", capacity=capacity)
        oracle = Oracle()
        for step, (record, event) in zip(stream, log, strict=True):
            whole.resolver.use(step.rules)
            resolved = whole.resolver.apply(record, event)
            assert resolved is not None
            oracle.apply(json.loads(record.body), step.rules, resolved.cause.order)
        whole.commit()
        run_with_trouble(broken, stream, log)
        assert broken.rows() == whole.rows()
        one_owner_for_each_id(whole)
        links = [(user, account) for user, account, *_ in whole.rows()["link"]]
        people = oracle.users.items()
        assert links == sorted((number, account) for number, person in people for account in person.accounts)
        whole.close()
        broken.close()


def run_with_trouble(rig: Rig, stream: list[Step], log: list[tuple[Record, Event]]) -> None:
    """Commits take their time; it dies once at each place, and reads again what was not committed, and more."""
    died: set[int] = set()
    writing: list[ProfilesDelta] = []
    at = 0
    while at < len(log):
        rig.resolver.use(stream[at].rules)
        rig.resolver.apply(*log[at])
        then = stream[at].then
        if then == "take" and not writing:
            writing = [rig.resolver.take()]
        elif then in ("land", "die untold") and writing:
            rig.writer.commit(writing)
            writing = []
            rig.resolver.committed()
        if then in ("die", "die untold") and at not in died:
            died.add(at)
            writing = []
            rig.restart()
            at = max(0, rig.resolver.position - 2)
            continue
        at += 1
    rig.writer.commit([*writing, rig.resolver.take()])


def one_owner_for_each_id(rig: Rig) -> None:
    """What the profiles hold is what the index of ids says, and each id stands once."""
    profiles = [*rig.reader.page(collection="users", limit=500), *rig.reader.page(collection="accounts", limit=500)]
    held = [
        (profile.collection, linked.type, linked.id, profile.number) for profile in profiles for linked in profile.ids
    ]
    assert sorted(held) == sorted(rig.rows()["identifier"])
