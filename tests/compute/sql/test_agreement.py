"""The query of a definition says of each profile what the plain evaluator says of it, for definitions of every kind."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segue.compute.answers import Answers, Computation
from segue.compute.history import Absence, History
from segue.compute.sql import Defined
from segue.compute.values import Value
from segue.core.profile import ExternalId
from tests.compute.definitions import audiences, computed_traits
from tests.compute.histories import (
    T0,
    U1,
    WORDS,
    busy_audiences,
    busy_reductions,
    facts,
    plain,
    reaches,
    spans_of,
)
from tests.compute.sql.relations import TABLES, Held, Person, ask, engine, fill, written
from tests.compute.test_answers import naming

CASES = int(os.environ.get("SEGUE_AGREEMENT_CASES", "200"))

people = st.builds(Person, facts(), st.sampled_from([U1, U1, U1, (ExternalId("anonymous_id", "9"),), ()]))
KEYS = ("spend", "other", "aud", "top")
reductions = busy_reductions(listed=True) | computed_traits(WORDS)
conditions = busy_audiences() | audiences(WORDS)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with engine() as found:
        yield found


@st.composite
def spaces(draw: st.DrawFn) -> dict[str, Defined]:
    """Definitions that refer to each other, none in a circle."""
    trees: dict[str, Any] = {
        "spend": draw(reductions.filter(naming())),
        "other": draw(conditions.filter(naming("spend"))),
        "aud": draw(conditions.filter(naming("spend", "other"))),
        "top": draw(conditions | reductions),
    }
    return {
        key: Defined(
            tree=tree,
            id=number,
            reach=draw(reaches),
            include_anonymous=draw(st.sampled_from([False, False, True])),
            frozen=key != "top" and draw(st.sampled_from([False] * 7 + [True])),
        )
        for number, (key, tree) in enumerate(trees.items(), 1)
    }


@st.composite
def holdings(draw: st.DrawFn, definitions: Mapping[str, Defined], count: int) -> list[Held]:
    """What incremental computing has said: it matters of frozen definitions, and who was once in an audience."""
    found = []
    for defined in definitions.values():
        for profile in range(1, count + 1):
            if draw(st.booleans()):
                continue
            if defined.is_audience:
                found.append(Held(defined.id, profile, draw(st.sampled_from(["true", "false"])), True))
            elif defined.frozen:
                found.append(Held(defined.id, profile, written(draw(plain)), False))
    return found


class Disabled(Answers):
    """The plain answers where some definitions are disabled: they say what is held."""

    def __init__(self, definitions: Mapping[str, Defined], history: History, held: Mapping[int, Held]) -> None:
        self._defined, self._held = definitions, held
        super().__init__(
            {
                key: Computation(tree=each.tree, reach=each.reach, include_anonymous=each.include_anonymous)
                for key, each in definitions.items()
            },
            history,
            once_in={key for key, each in definitions.items() if each.id in held and held[each.id].once},
        )

    def value(self, key: str, at_ms: int) -> Value | Absence:
        """What is held of a disabled one."""
        defined = self._defined[key]
        if not defined.frozen:
            return super().value(key, at_ms)
        held = self._held.get(defined.id)
        if defined.is_audience:
            return held is not None and held.value == "true"
        return Absence.ABSENT if held is None else json.loads(held.value)


@settings(max_examples=CASES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data(), definitions=spaces(), found=st.lists(people, min_size=1, max_size=5))
def test_a_query_says_of_each_profile_what_the_plain_evaluator_says(connection, data, definitions, found):
    held = data.draw(holdings(definitions, len(found)))
    spans = spans_of(*(each.tree for each in definitions.values()))
    edges = sorted({edge for person in found for edge in person.facts.edges(*spans)} | {T0})
    for at_ms in data.draw(st.lists(st.sampled_from(edges), min_size=1, max_size=3, unique=True)):
        fill(connection, found, held, at_ms)
        key = data.draw(st.sampled_from(KEYS[2:]))
        tables = TABLES[data.draw(st.sampled_from(sorted(TABLES)))]
        expected = {}
        for number, person in enumerate(found, 1):
            of_profile = {each.computation: each for each in held if each.profile == number}
            answer = Disabled(definitions, person.history(), of_profile).value(key, at_ms)
            if not isinstance(answer, Absence) and not (definitions[key].is_audience and answer is False):
                expected[number] = written(answer)
        assert ask(connection, definitions, key, at_ms, tables) == expected
