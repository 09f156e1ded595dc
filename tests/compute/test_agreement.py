"""The machine says at every instant what the plain evaluator says, whatever happened in whatever order.

`SEGUE_AGREEMENT_CASES` says how many worlds are tried.
"""

from __future__ import annotations

import json
import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segue.core.profile import ExternalId
from tests.compute.definitions import audiences, computed_traits
from tests.compute.histories import (
    AUDIENCES,
    DAY,
    HOUR,
    MINUTE,
    T0,
    TRAITS,
    WORDS,
    busy_audiences,
    busy_reductions,
    objects,
    reaches,
    values,
)
from tests.compute.test_answers import naming
from tests.compute.worlds import Sizes, World, compiled, sizes

CASES = int(os.environ.get("SEGUE_AGREEMENT_CASES", "150"))

IDS = (ExternalId("user_id", "u"), ExternalId("anonymous_id", "a"), ExternalId("group_id", "g"))
pauses = st.sampled_from(
    [0, 0, 0, 1, 20 * MINUTE, 30 * MINUTE, HOUR - 1, HOUR, HOUR + 1, 2 * HOUR, DAY - 1, DAY, 3 * DAY]
)
delays = st.sampled_from([0, 0, 0, 0, 1, 5 * MINUTE, 30 * MINUTE, HOUR - 1, HOUR, DAY, DAY + 1, 3 * DAY])
events = st.fixed_dictionaries(
    {
        "source": st.sampled_from(["web", "app"]),
        "type": st.sampled_from(["track"] * 5 + ["page"]),
        "name": st.sampled_from(["A", "A", "A", "A", "B", ""]),
        "properties": objects.map(json.dumps),
        "context": objects.map(json.dumps),
    }
)
whom = st.integers(0, 2)
steps = st.one_of(
    *[st.tuples(st.just("event"), whom, pauses, delays, events)] * 6,
    *[st.tuples(st.just("trait"), whom, pauses, delays, st.tuples(st.sampled_from(TRAITS), values))] * 2,
    st.tuples(st.just("id"), whom, pauses, st.sampled_from(IDS)),
    st.tuples(st.just("merge"), whom, pauses, whom),
    st.tuples(st.just("pass"), pauses),
    st.tuples(st.just("restart")),
)
bounds = st.builds(Sizes, st.sampled_from([1, 2, 3, 256]), st.sampled_from([2, 10_000]), st.sampled_from([0, 1_000]))

reductions = st.one_of(busy_reductions(listed=True), busy_reductions(listed=True), computed_traits(WORDS))
conditions = st.one_of(busy_audiences(), busy_audiences(), audiences(WORDS))


@st.composite
def spaces(draw: st.DrawFn) -> list[Any]:
    """Up to four definitions, each of which may refer to those before it."""
    trees = [
        ("spend", draw(reductions.filter(naming()))),
        ("other", draw(conditions.filter(naming("spend")))),
        ("aud", draw(conditions.filter(naming("spend", "other")))),
        ("top", draw((conditions | reductions).filter(naming(*AUDIENCES)))),
    ]
    chosen = draw(st.sampled_from([4, 4, 4, 2, 1]))
    return [
        compiled(number, key, tree, draw(reaches), include_anonymous=draw(st.booleans()))
        for number, (key, tree) in enumerate(trees[:chosen], 1)
    ]


def play(world: World, step: tuple[Any, ...], number: int) -> None:
    """Let one thing happen."""
    kind = step[0]
    if kind == "restart":
        world.restart()
        return
    world.pass_until(world.at_ms + step[1 if kind == "pass" else 2])
    if kind == "pass":
        return
    profile = world.profiles.get(step[1]) or min(world.profiles.values(), key=lambda each: each.number)
    if kind == "event":
        received_at = world.at_ms - (number % 3 == 2)  # the clock may step back by a little
        t = received_at - step[3]
        world.happen(profile, {"t": t, "received_at": received_at, "message_id": f"m{number}", **step[4]})
    elif kind == "trait":
        world.identify(profile, step[4][0], step[4][1], world.at_ms - step[3])
    elif kind == "id":
        world.gain(profile, step[3])
    elif step[3] in world.profiles and step[3] != profile.number:
        world.merge(profile, world.profiles[step[3]])


@settings(max_examples=CASES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(space=spaces(), happened=st.lists(steps, min_size=3, max_size=25), small=bounds)
def test_the_machine_says_what_the_plain_evaluator_says(space, happened, small):
    with sizes(small):
        world = World(space, T0 - DAY)
        world.join(0, ExternalId("user_id", "u0"))
        world.join(1, ExternalId("anonymous_id", "a1"))
        world.join(2)
        for number, step in enumerate(happened):
            play(world, step, number)
            world.check()
        world.restart()
        world.pass_until(world.at_ms + 5 * DAY)
        world.check()
        world.check_rows()
