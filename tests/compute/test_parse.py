"""Errors in texts: where, what was found, what belongs there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.compute.checks import TEXT_BYTES_MOST
from segue.compute.mistakes import Mistake, Mistaken
from segue.compute.parse import parse, read
from segue.compute.printing import print_definition
from tests.compute.definitions import audiences

A_VALUE = "a value: a number, a text in quotes or a date"
A_CONDITION = "a condition such as event('…').count() >= 1 or trait('…') = '…'"
A_COMPARISON = "a comparison such as >= 1, = '…' or .exists()"
A_REDUCER = "a reducer such as .count() or .sum(property('…'))"
A_FILTER = "a filter such as .where(…) or .within(30 days)"


AFTER_A_CONDITION = ("AND", "OR", "the end of the definition")


def mistake_in(text: str, kind="audience") -> Mistake:
    with pytest.raises(Mistaken) as raised:
        parse(text, kind)
    assert str(raised.value).startswith("line ")
    return raised.value.mistakes[0]


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("", 1, (A_CONDITION,)),
        ("event('A')", 11, (A_REDUCER, A_FILTER)),
        ("event('A').count() >= ", 22, (A_VALUE,)),
        ("trait('a') 5", 12, (A_COMPARISON,)),
        ("trait('a') = 5 AND", 19, (A_CONDITION,)),
        ("trait('a') = 5)", 15, AFTER_A_CONDITION),
        ("(trait('a') = 5", 16, (")", "AND", "OR")),
        ("trait(a) = 5", 7, ("a text in quotes",)),
        ("trait() = 5", 7, ("a text in quotes",)),
        ("5 < trait('a')", 1, (A_CONDITION,)),
        ("trait('a').one_of('x' 'y')", 23, (")", "a comma")),
        ("trait('a').starts_with(5)", 24, ("a text in quotes", "true or false")),
        ("trait('a').before_date(5)", 24, ("a date", "a text in quotes", "true or false")),
        ("event('A').within(30).count() > 1", 21, ("hours or days",)),
        ("event('A').sum(5) > 1", 16, ("property('…') or context('…')",)),
        ("event('A').sources('s').count() > 1", 20, ("exclude:", "{")),
        ("event('A').sum(property('p')).count() > 1", 30, (A_COMPARISON,)),
    ],
)
def test_an_error_says_where_it_is_and_what_belongs_there(text, column, expected):
    mistake = mistake_in(text)
    assert (mistake.line, mistake.column) == (1, column)
    assert mistake.expected == expected


def test_of_a_computed_trait_an_error_says_that_it_may_end():
    assert mistake_in("event('A').count() 5", "trait").expected == ("the end of the definition",)


@pytest.mark.parametrize(
    ("text", "found", "meant"),
    [
        ("evnt('A').count() > 1", "evnt", "event"),
        ("Event('A').count() > 1", "Event", "event"),
        ("event('A').coutn() > 1", ".coutn", ".count"),
        ("event('A').average(property('p')) > 1", ".average", ".avg"),
        ("event('A').withn(3 days).count() > 1", ".withn", ".within"),
        ("count(event('A')) > 1", "count", "event('…').count(…)"),
        ("contains(trait('a'), 'x')", "contains", "trait('…').contains(…)"),
        ("trait('a').contain('x')", ".contain", ".contains"),
        ("trait('a').starts_wth('x')", ".starts_wth", ".starts_with"),
        ("trait('a') = True", "True", "true"),
        ("trait('a') = gold", "gold", "'gold'"),
        ("trait(plan) = 'x'", "plan", "'plan'"),
        ("event('A').sum(revenue) > 1", "revenue", "property('revenue')"),
        ("event('A').within(5 weeks).count() > 1", "weeks", "days"),
        ("event('A').within(30 minutes).count() > 1", "minutes", "hours (or 1800 seconds, in .expires_after)"),
        ("trait('a') is 5", "is", "="),
        ("propety('a') = 5", "propety", "property"),
        ("event('A').sources(exlude: 's').count() > 1", "exlude:", "exclude:"),
        ("trait('a') = 1 ADN trait('b') = 2", "ADN", "AND"),
    ],
)
def test_an_error_asks_whether_another_word_was_meant(text, found, meant):
    mistake = mistake_in(text)
    assert mistake.found == found
    assert mistake.meant == meant
    assert f"did you mean {meant}?" in str(mistake)


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("trait('a') == “x”", 1, 15, "write straight quotes"),
        ("trait('a') = 1 && trait('b') = 2", 1, 16, "write AND"),
        ("trait('a = 5", 1, 7, "never closed"),
        ("trait('a') = 1\n  AND trait('b').foo()", 2, 17, "found .foo"),
        ("trait('a') = 05", 1, 14, "begins with a zero; write 5"),
        ("trait('a') = 1e999", 1, 14, "beyond the largest number"),
        ("event('A').within(1.5 days).count() > 1", 1, 19, "1.5 is no whole number"),
        ("event('A').within(-1 days).count() > 1", 1, 19, "-1 is no whole number"),
        ("event('A').within(1 day).between(1 day, 2 days).count() > 1", 1, 25, "one more window"),
        ("event('A').sources(exclude: 'a').sources(exclude: 'b').count() > 1", 1, 33, "one more list of sources"),
        ("entity('a').count() > 1", 1, 1, "entity needs a data graph, which this space lacks"),
        ("trait('a') = 2026-02-30", 1, 14, "2026-02-30 is no date"),
        ("trait('a') = 2026-03-10T12:00+0100", 1, 14, "is no date"),
        ("trait('x') = 1 AND\nevent('A').count()", 2, 19, A_COMPARISON),
        ("trait('a') > 'abc'", 1, 14, "neither a number nor a date"),
        ("trait('a') = 1 # rich", 1, 16, "comments do not exist"),
    ],
)
def test_an_error_says_what_to_do(text, line, column, says):
    mistake = mistake_in(text)
    assert (mistake.line, mistake.column) == (line, column)
    assert says in mistake.message


def test_all_that_is_wrong_beyond_the_grammar_is_said_in_the_order_of_the_text():
    with pytest.raises(Mistaken) as raised:
        parse("property('a') = 1 AND\n trait('b') > 'x' AND audience('?')", "audience")
    assert [(mistake.line, mistake.column) for mistake in raised.value.mistakes] == [(1, 1), (2, 15), (2, 23)]
    assert str(raised.value).count("\n") == 2


def test_an_audience_that_is_not_known_is_refused_where_it_stands():
    with pytest.raises(Mistaken, match="line 1, column 5: there is no audience with the key 'vop'; did you mean 'vip'"):
        parse("NOT audience('vop')", "audience", audiences={"vip"})
    assert parse("audience('vip')", "audience", audiences={"vip"})


def test_a_text_has_16_kib_at_most():
    text = f"trait('a').one_of({', '.join(['1'] * 5400)})"
    assert len(text) < TEXT_BYTES_MOST < 3 * 5500
    read(text)
    assert "16 KiB is the most" in mistake_in(text + " " * 300).message


@pytest.mark.parametrize(
    "text",
    [
        "NOT " * 4000 + "trait('a') = 1",
        "(" * 8000,
        "(" * 7000 + "trait('a') = 1" + ")" * 7000,
        "trait('a') = " + "literal(" * 1800 + "1" + ")" * 1800,
        "event('a').where(" * 900,
        "trait('a') = '" + "\\" * 16000,
        "trait('a') = " + "9" * 16000,
        "-" * 16000,
        "trait('a') = 1 OR " * 900,
        "\ud800",
    ],
)
def test_no_text_makes_it_fail_otherwise(text):
    try:
        parse(text, "audience")
    except Mistaken as error:
        assert len(str(error)) < 500


@given(st.text("eventraipo()'.=<>!01 {}NOTAD:,\\\"", max_size=60))
def test_any_text_is_read_or_refused(text):
    try:
        tree = read(text).tree
    except Mistaken as error:
        assert error.mistakes[0].line >= 1 and error.mistakes[0].column >= 1
    else:
        assert read(print_definition(tree)).tree == tree


@given(audiences(junctions=1), st.data())
def test_a_text_with_a_piece_cut_out_is_read_or_refused(tree, draw):
    text = print_definition(tree)
    start = draw.draw(st.integers(0, len(text)))
    cut = text[:start] + text[start + draw.draw(st.integers(1, 5)) :]
    try:
        parse(cut, "audience")
    except Mistaken as error:
        assert all(mistake.line >= 1 for mistake in error.mistakes)
