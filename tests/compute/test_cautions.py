"""What is pointed out and not refused."""

from __future__ import annotations

import pytest

from segue.compute.cautions import cautions
from segue.compute.parse import parse


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        ("trait('a') = 1 AND trait('b').omits('x')", "items[1]", "no value at all"),
        ("trait('a') > 2026-03-10T12:00", "", "2026-03-10T12:00 says no time zone"),
        ("trait('a') = 2026-03-10T12:00", "", "says no time zone"),
        ("trait('a').one_of(1, 2026-03-10T12:00)", "", "says no time zone"),
        ("trait('a').before_date('2026-03-10T12:00')", "", "says no time zone"),
        ("trait('a') < '2026-03-10T12:00'", "", "says no time zone"),
        ("event('A').sources(exclude: 'webiste').count() > 1", "left.stream", "did you mean 'website'?"),
        ("event('A').sources(exclude: 'other').count() > 1", "left.stream", "no source 'other'"),
    ],
)
def test_it_is_pointed_out(text, path, says):
    (caution,) = cautions(parse(text, "audience"), sources={"website"})
    assert caution.path == path
    assert says in caution.message


@pytest.mark.parametrize(
    "text",
    [
        "trait('a') > 2026-03-10T12:00Z",
        "trait('a') > 2026-03-10",
        "trait('a') = '2026-03-10T12:00'",
        "trait('a').contains('x')",
        "event('A').sources(exclude: 'website').count() > 1",
    ],
)
def test_nothing_is_pointed_out(text):
    assert cautions(parse(text, "audience"), sources={"website"}) == []


def test_sources_are_not_looked_at_where_they_are_not_known():
    assert cautions(parse("event('A').sources(exclude: 'x').count() > 1", "audience")) == []
