"""The machine says at every instant what the plain evaluator says, whatever happened in whatever order.

`SEGUE_AGREEMENT_CASES` says how many worlds are tried.
"""

from __future__ import annotations

import json
import os
from random import Random
from typing import Any, get_args

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segue.compute.tree import Between, By, Compare, Event, Number, Property, Reduce, Relation, Span, Within
from segue.compute.windows import WHOLE
from segue.core.profile import ExternalId
from tests.compute.definitions import audiences, computed_traits
from tests.compute.histories import (
    DATES,
    DAY,
    HOUR,
    MINUTE,
    T0,
    TRAITS,
    WORDS,
    busy_audiences,
    busy_reductions,
    reaches,
)
from tests.compute.test_answers import naming
from tests.compute.worlds import Sizes, World, compiled, sizes

CASES = int(os.environ.get("SEGUE_AGREEMENT_CASES", "300"))

IDS = (ExternalId("user_id", "u"), ExternalId("anonymous_id", "a"), ExternalId("group_id", "g"))
PAUSES = (0, 0, 0, 1, MINUTE, MINUTE, 5 * MINUTE, 5 * MINUTE, 20 * MINUTE, 30 * MINUTE, HOUR - 1, HOUR, HOUR + 1, DAY)
DELAYS = (0, 0, 0, 1, MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR - 1, HOUR, 2 * HOUR, DAY, 3 * DAY)
PLAIN = (None, "", "5", "05", "5.0", "a", "b", True, 7.5, 0.1, 2**53 + 1, -1, 10**18, *range(7), *range(5), *DATES)
BOUNDS = st.builds(Sizes, st.sampled_from([1, 2, 3, 256]), st.sampled_from([2, 10_000]), st.sampled_from([0, 1_000]))


def some(random: Random) -> Any:
    """A value: in most cases a plain one."""
    kind = random.randrange(8)
    if kind == 0:
        return [random.choice(PLAIN) for _ in range(random.randrange(4))]
    return {"p": random.choice(PLAIN), "q": random.choice(PLAIN)} if kind == 1 else random.choice(PLAIN)


def members(random: Random) -> str:
    """What an event carries."""
    found = {
        "p": some(random),
        "q": random.choice(PLAIN),
        "tags": [random.choice(PLAIN) for _ in range(random.randrange(4))],
        "items": [{"p": random.choice(PLAIN)} for _ in range(random.randrange(3))],
        "page_name": random.choice(PLAIN),
    }
    return json.dumps({name: value for name, value in found.items() if random.random() < 0.8})


def event(random: Random) -> dict[str, Any]:
    """An event, but for its times."""
    return {
        "source": random.choice(["web", "web", "app"]),
        "type": random.choice(["track"] * 8 + ["page"]),
        "name": random.choice(["A"] * 8 + ["B", "B", ""]),
        "properties": members(random),
        "context": members(random),
    }


def step(random: Random) -> tuple[Any, ...]:
    """One thing that happens to somebody after a while."""
    kind = random.choice(["event"] * 12 + ["trait"] * 3 + ["id", "merge", "pass", "restart"])
    who, pause, delay = random.choice([0, 0, 1, 2]), random.choice(PAUSES), random.choice(DELAYS)
    what: Any = None
    if kind == "event":
        what = event(random)
    elif kind == "trait":
        what = (random.choice(TRAITS), some(random))
    elif kind == "id":
        what = random.choice(IDS)
    elif kind == "merge":
        what = random.choice([0, 1, 2])
    return kind, who, pause, delay, what


reductions = st.one_of(busy_reductions(listed=True), busy_reductions(listed=True), computed_traits(WORDS))
conditions = st.one_of(busy_audiences(), busy_audiences(), audiences(WORDS))


WINDOWS = (
    Within(to=Span(1, "hour")),
    Within(to=Span(2, "hour")),
    Within(to=Span(1, "day")),
    Between(from_=Span(1, "hour"), to=Span(2, "hour")),
    Between(from_=Span(0, "hour"), to=Span(2, "hour")),
    Between(from_=Span(1, "hour"), to=Span(1, "day")),
)


@st.composite
def windowed(draw: st.DrawFn) -> Reduce:
    """A reducer over nearly all events of a short window."""
    by = draw(st.sampled_from(get_args(By)))
    where = draw(st.sampled_from([None, None, None, Compare(left=Property(path=("p",)), op="exists")]))
    stream = Event(name="A", where=where, window=draw(st.sampled_from(WINDOWS)))
    if by == "count":
        return Reduce(stream=stream, by=by)
    as_ = draw(st.sampled_from([None, "string"])) if by in ("min", "max", "mode") else None
    path = draw(st.sampled_from([("q",), ("q",), ("p",), ("tags", "$")]))
    return Reduce(stream=stream, by=by, field=Property(path=path), as_=as_, min=1 if by == "mode" else None)


@st.composite
def thresholds(draw: st.DrawFn) -> Compare:
    """A count of a short window, against a number that it reaches."""
    stream = Event(name="A", window=draw(st.sampled_from(WINDOWS)))
    number = Number(value=draw(st.integers(0, 4)))
    return Compare(left=Reduce(stream=stream, by="count"), op=draw(st.sampled_from(get_args(Relation))), args=(number,))


@st.composite
def spaces(draw: st.DrawFn) -> list[Any]:
    """Some definitions, of which some may refer to those before them."""
    trees = [
        ("spend", draw(reductions.filter(naming()))),
        ("other", draw(conditions.filter(naming("spend")))),
        ("aud", draw(conditions.filter(naming("spend", "other")))),
        ("t1", draw(busy_reductions(listed=True))),
        ("a1", draw(busy_audiences())),
        *((f"w{n}", draw(windowed())) for n in range(3)),
        *((f"c{n}", draw(thresholds())) for n in range(2)),
    ]
    reach = draw(reaches)
    return [
        compiled(number, key, tree, draw(st.sampled_from([WHOLE, reach])), include_anonymous=draw(st.booleans()))
        for number, (key, tree) in enumerate(trees, 1)
    ]


def play(world: World, happens: tuple[Any, ...], number: int) -> None:
    """Let one thing happen."""
    kind, who, pause, delay, what = happens
    if kind == "restart":
        world.restart()
        return
    world.pass_until(world.at_ms + pause)
    profile = world.profiles.get(who) or min(world.profiles.values(), key=lambda each: each.number)
    if kind == "event":
        received_at = world.at_ms - (number % 3 == 2)  # the clock may step back by a little
        world.happen(
            profile, {"t": received_at - delay, "received_at": received_at, "message_id": f"m{number}", **what}
        )
    elif kind == "trait":
        world.identify(profile, what[0], what[1], world.at_ms - delay)
    elif kind == "id":
        world.gain(profile, what)
    elif kind == "merge" and what in world.profiles and what != profile.number:
        world.merge(profile, world.profiles[what])


@settings(max_examples=CASES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(space=spaces(), seed=st.integers(0, 2**32), length=st.integers(10, 40), small=BOUNDS)
def test_the_machine_says_what_the_plain_evaluator_says(space, seed, length, small):
    # What happens is drawn by a generator of its own: Hypothesis would make most of it empty.
    random = Random(seed)
    with sizes(small):
        world = World(space, T0 - DAY)
        world.join(0, ExternalId("user_id", "u0"))
        world.join(1, ExternalId("anonymous_id", "a1"))
        world.join(2)
        for number in range(length):
            play(world, step(random), number)
            world.check()
        world.restart()
        world.pass_until(world.at_ms + 5 * DAY)
        world.check()
        world.check_rows()
