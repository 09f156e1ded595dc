"""What definitions name, and the order in which they are computed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.compute.mistakes import Mistaken
from segue.compute.parse import read
from segue.compute.references import DEPTH_MOST, in_order, references, unknown_audiences
from segue.compute.tree import Audience, Trait


def tree(text: str):
    return read(text).tree


def test_names_are_found_wherever_they_stand():
    found = references(
        tree(
            "event('A').where(property('p') > trait('avg.value') AND NOT audience('vip')).sources(exclude: 's').count()"
            " >= event('B').count() OR trait('x').exists()"
        )
    )
    assert found.events == {"A", "B"}
    assert found.traits == {"avg", "x"}
    assert found.audiences == {"vip"}
    assert found.sources == {"s"}


def test_a_key_that_no_audience_has_is_a_mistake_with_the_one_that_was_meant():
    (mistake,) = unknown_audiences(tree("trait('a') = 1 AND audience('vips')"), {"vip", "churned"})
    assert mistake.path == "items[1]"
    assert mistake.meant == "vip"
    assert unknown_audiences(tree("audience('vip')"), {"vip"}) == []


def test_each_definition_comes_after_those_it_refers_to():
    definitions = {
        "a": tree("audience('b') AND trait('spend.total') > 1"),
        "b": tree("trait('c') = 'true' OR trait('custom') = 1"),
        "c": tree("event('X').count() > 1"),
        "spend": tree("event('X').sum(property('p'))"),
    }
    assert in_order(definitions) == ["c", "b", "spend", "a"]


@pytest.mark.parametrize(
    ("links", "circle"),
    [({"a": "a"}, "a -> a"), ({"a": "b", "b": "c", "c": "b"}, "b -> c -> b"), ({"b": "a", "a": "b"}, "a -> b -> a")],
)
def test_a_circle_is_refused_and_named(links, circle):
    with pytest.raises(Mistaken, match=circle):
        in_order({key: Audience(key=other) for key, other in links.items()})


def chain(length: int):
    return {f"k{n}": Audience(key=f"k{n + 1}") for n in range(length)} | {f"k{length}": tree("trait('x') = 1")}


def test_references_may_follow_on_each_other_ten_times():
    assert len(in_order(chain(DEPTH_MOST))) == DEPTH_MOST + 1
    with pytest.raises(Mistaken, match="'k0' refers to definitions more than 10 deep"):
        in_order(chain(DEPTH_MOST + 1))


def test_a_long_chain_is_refused_without_recursion():
    with pytest.raises(Mistaken, match="deep"):
        in_order(chain(3000))


@given(st.permutations(["a", "b", "c", "d"]))
def test_the_order_does_not_depend_on_the_order_given(keys):
    definitions = {"a": Audience(key="d"), "b": Audience(key="a"), "c": Audience(key="x"), "d": Audience(key="c")}
    assert in_order({key: definitions[key] for key in keys}) == in_order(definitions) == ["c", "d", "a", "b"]


def test_a_trait_without_a_path_names_nothing():
    assert references(Trait(path=())).traits == frozenset()
