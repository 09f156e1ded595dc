"""What is refused though the grammar reads it, in a text and in a tree alike."""

from __future__ import annotations

import pytest

from segue.compute.checks import check
from segue.compute.mistakes import Mistaken
from segue.compute.parse import read
from segue.compute.tree import And, Compare, Condition, Duration, Event, Not, Number, Or, Property, Reduce, Text, Trait

A = Compare(left=Trait(path=("a",)), op="exists")
X = Event(name="X")


def said(text: str, kind="audience") -> str:
    return "\n".join(map(str, check(read(text).tree, kind)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("event('A').count()", "an audience ends in true or false"),
        ("trait('a')", "an audience ends in true or false"),
        ("property('a') = 1", "is of an event: use it in .where(…)"),
        ("context('a') = 1", "is of an event: use it in .where(…)"),
        ("event('A').where(context('traits.email').exists()).count() > 1", "use trait('…')"),
        ("event('A').where(property(parent: 'x') = 1).count() > 1", "parent: has no parent here"),
        ("event('A').sum(property(parent: 'x')) > 1", "parent: has no parent here"),
        ("event('A').within(parent: 1 day).count() > 1", "parent: has no parent here"),
        ("event('A').within(59 seconds).count() > 1", "seconds are for .expires_after"),
        ("event('A').within(0 days).count() > 1", "1 hour to 3650 days"),
        ("event('A').within(3651 days).count() > 1", "1 hour to 3650 days"),
        ("event('A').between(7 days, 7 days).count() > 1", "the shorter one"),
        ("event('A').between(0 seconds, 7 days).count() > 1", "seconds are for .expires_after"),
        ("event('A').expires_after(1800 seconds).count() > 1", "for computed traits only"),
        ("event('A').unique(property('p')).contains('x')", "cannot be compared; add .count()"),
        ("trait('a') = event('A').unique(property('p'))", "cannot be compared; add .count()"),
        ("event('A').max(property('p') as array) > 1", "no `as array`"),
        ("event('A').mode(property('p'), 0) = 1", "least frequency"),
        ("event('').count() > 1", "the event has no name"),
        ("event('A').sources(exclude: '').count() > 1", "has no id"),
        ("trait('') = 1", "a name is empty"),
        ("trait('a..b') = 1", "a name is empty"),
        ("trait('a.') = 1", "a name is empty"),
        ("trait('" + "a." * 16 + "b') = 1", "17 names deep, 16 is the most"),
        ("trait('" + "a" * 1001 + "') = 1", "1000 is the most"),
        ("trait('a') = '" + "a" * 1001 + "'", "1000 is the most"),
        ("audience('VIP')", "is no key of an audience"),
        ("trait('a') > 'abc'", "neither a number nor a date"),
        ("trait('a') > true", "neither a number nor a date"),
        ("trait('a') = 2026-02-30", "is no date"),
        ("trait('a').before_date('soon')", "takes a date"),
        ("trait('a').contains('x', '')", "an empty text is part of every text"),
        ("trait('a').omits('')", "an empty text is part of every text"),
        ("trait('a').starts_with('')", "an empty text is part of every text"),
        ("trait('a').within_last(30 seconds)", "seconds are for .expires_after"),
        ("trait('a').one_of(" + "1," * 1000 + "1)", "1001 values, 1000 is the most"),
        (" OR ".join(["trait('a').exists()"] * 51), "more than 50 conditions"),
        ("ANY (trait('a') = 1)", "not supported yet"),
        ("ALL NOT (event('A').count() > 1)", "not supported yet"),
        ("event('A').where(event('B').count() > 1).count() > 1", "(a funnel) is not supported yet"),
        ("event('A').sum(trait('a')) > 1", "not supported yet"),
    ],
)
def test_an_audience_is_refused(text, says):
    assert says in said(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("event('A').count() > 1", "a computed trait ends in a value"),
        ("audience('vip')", "a computed trait ends in a value"),
        ("trait('a')", "this is a trait already"),
        ("property('a')", "is of an event"),
        ("event('A').expires_after(1799 seconds).count()", "30 minutes"),
        ("event('A').expires_after(3651 days).count()", "3650 days"),
        ("event('A').where(event('B').expires_after(1 hour).count() > 1).count()", "for computed traits only"),
    ],
)
def test_a_computed_trait_is_refused(text, says):
    assert says in said(text, "trait")


@pytest.mark.parametrize(
    "text",
    [
        "event('A').unique(property('p'))",
        "event('A').unique(property('p.$.q')).count()",
        "event('A').expires_after(1800 seconds).count()",
        "event('A').expires_after(1 hour).last(context('page.url'))",
        "event('A').where(trait('x') = property('y') AND audience('vip')).sum(property('p'))",
        "event('A').within(3650 days).mode(property('p') as number, 1)",
    ],
)
def test_a_computed_trait_may_end_in_a_value_or_a_list(text):
    assert said(text, "trait") == ""


@pytest.mark.parametrize(
    "text",
    [
        "trait('a') > '5' AND trait('a') > '2026-03-10' AND trait('a') > 2026-03-10",
        "event('A').max(property('p')).absent()",
        "event('A').last(property('p')).within_last(7 days)",
        "event('A').count() > event('B').count()",
        "event('A').between(0 days, 1 hour).count() = 0",
        "trait('a') = ''",
        "trait('a').one_of('')",
        " OR ".join(["trait('a').exists()"] * 50),
        "NOT " * 62 + "trait('a').exists()",
        "trait('a').one_of(" + "1," * 999 + "1)",
    ],
)
def test_what_stays_within_the_bounds_is_accepted(text):
    assert said(text) == ""


@pytest.mark.parametrize(
    ("tree", "path", "says"),
    [
        (And(items=(A,)), "", "two conditions or more"),
        (Or(items=(A, Or(items=(A, A)))), "items[1]", "OR directly inside OR"),
        (Not(item=And(items=(A, And(items=(A, A))))), "item.items[1]", "AND directly inside AND"),
        (Compare(left=Trait(path=("a",)), op="exists", args=(Number(value=1),)), "", "takes nothing"),
        (Compare(left=Trait(path=("a",)), op="equals"), "", "takes one value"),
        (Compare(left=Trait(path=("a",)), op="contains"), "", "takes a value or more"),
        (Compare(left=Trait(path=("a",)), op="equals", args=(Number(value=1),) * 2), "", "takes one value"),
        (Compare(left=Trait(path=("a",)), op="equals", args=(Duration(1, "day"),)), "args[0]", "is a length of time"),
        (Compare(left=Trait(path=("a",)), op="within_last", args=(Number(value=1),)), "args[0]", "a length of time"),
        (Compare(left=Trait(path=("a",)), op="one_of", args=(Trait(path=("b",)),)), "args[0]", "not another value"),
        (Compare(left=Trait(path=("a",)), op="starts_with", args=(Number(value=1),)), "args[0]", "a text in quotes"),
        (Compare(left=Trait(path=("a",)), op="after_date", args=(Text(value="x"),)), "args[0]", "takes a date"),
        (Compare(left=Trait(path=()), op="exists"), "left", "a name is empty"),
        (Compare(left=Trait(path=("a\\", "b")), op="exists"), "left", "backslash"),
        (Compare(left=Reduce(stream=X, by="sum"), op="exists"), "left", "takes a property"),
        (Compare(left=Reduce(stream=X, by="count", field=Property(path=("p",))), op="exists"), "left", "takes nothing"),
        (Compare(left=Reduce(stream=X, by="count", as_="number"), op="exists"), "left", "no `as number`"),
        (Compare(left=Reduce(stream=X, by="count", min=1), op="exists"), "left", "no least frequency"),
    ],
)
def test_a_tree_that_no_text_gives_is_refused_with_its_path(tree, path, says):
    (mistake,) = check(tree, "audience")
    assert mistake.path == path
    assert says in mistake.message


def test_a_tree_whose_text_would_be_too_long_is_refused():
    tree = Compare(left=Trait(path=("a",)), op="one_of", args=(Text(value="x" * 900),) * 20)
    assert "16 KiB is the most" in str(check(tree, "audience")[0])


def test_a_tree_of_too_many_parts_is_refused_before_the_work_is_done():
    tree = Compare(left=Trait(path=("a",)), op="one_of", args=(Number(value=1),) * 20_000)
    assert "more than 10000 parts" in str(check(tree, "audience")[0])


def test_a_tree_nested_too_deep_is_refused_as_text_and_as_tree():
    tree: Condition = A
    for _ in range(63):
        tree = Not(item=tree)
    (mistake,) = check(tree, "audience")
    assert mistake.message.startswith("nested deeper than 64")
    with pytest.raises(Mistaken, match="line 1, column 253: nested deeper than 64"):
        read("NOT " * 63 + "trait('a').exists()")
