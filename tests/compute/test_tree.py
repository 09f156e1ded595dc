"""The JSON form of a definition, where it is not as it must be."""

from __future__ import annotations

import msgspec
import pytest

from segue.compute.mistakes import Mistaken
from segue.compute.tree import JSON_BYTES_MOST, Not, Number, Property, Reduce, Trait, from_json, parts, to_json

EXISTS = '{"kind":"compare","op":"exists","left":{"kind":"trait","path":["a"]}}'


@pytest.mark.parametrize(
    ("body", "path", "says"),
    [
        ("{", "", "truncated"),
        ("[]", "", "expected `object`, got `array`"),
        ('{"kind":"when"}', "kind", "invalid value 'when'"),
        ('{"items":[]}', "", "missing required field `kind`"),
        ('{"kind":"and","items":[' + EXISTS + "," + EXISTS.replace("exists", "is") + "]}", "items[1].op", "'is'"),
        ('{"kind":"not","item":' + EXISTS[:-1] + ',"why":1}}', "item", "unknown field `why`"),
        ('{"kind":"compare","op":"equals","left":{"kind":"trait","path":["a"]},"args":[{"kind":"number","value":"5"}]}',
         "args[0].value", "got `str`"),
        ('{"kind":"compare","op":"equals","left":{"kind":"trait","path":["a"]},"args":[{"kind":"number","value":1e400}]}',
         "args[0].value", "out of range"),
        ('{"kind":"trait","path":"a"}', "path", "expected `array`"),
    ],
)  # fmt: skip
def test_what_is_no_tree_is_refused_with_its_path(body, path, says):
    with pytest.raises(Mistaken) as raised:
        from_json(body)
    (mistake,) = raised.value.mistakes
    assert mistake.path == path
    assert says in mistake.message


def test_a_tree_nested_without_end_is_refused():
    body = '{"kind":"not","item":' * 5_000 + EXISTS + "}" * 5_000
    with pytest.raises(Mistaken, match="nested too deep"):
        from_json(body)


def test_a_body_has_256_kib_at_most():
    with pytest.raises(Mistaken, match="longer than 256 KiB"):
        from_json(" " * (JSON_BYTES_MOST + 1))


def test_what_goes_without_saying_is_left_out():
    body = (
        '{"kind":"reduce","by":"mode","stream":{"kind":"event","name":"A","exclude_sources":[],"where":null},'
        '"field":{"kind":"property","path":["p"]},"as":"string","min":2}'
    )
    tree = from_json(body)
    assert isinstance(tree, Reduce) and tree.as_ is None and tree.min is None
    assert msgspec.json.decode(to_json(tree)) == {
        "kind": "reduce",
        "by": "mode",
        "stream": {"kind": "event", "name": "A"},
        "field": {"kind": "property", "path": ["p"], "parent": False},
    }


@pytest.mark.parametrize(("given", "held"), [(5.0, 5), (-0.0, 0), (1e15, 1e15), (10**38, 1e38), (10**37, 10**37)])
def test_a_number_is_held_as_values_are_read(given, held):
    value = Number(value=given).value
    assert value == held and type(value) is type(held)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 10**400])
def test_a_number_that_no_double_holds_is_refused(value):
    with pytest.raises(ValueError):
        Number(value=value)


def test_parts_are_given_in_order_with_path_and_depth():
    tree = from_json('{"kind":"not","item":{"kind":"or","items":[' + EXISTS + "," + EXISTS + "]}}")
    assert [(path, type(part).__name__, depth) for path, part, depth in parts(tree)] == [
        ("", "Not", 1),
        ("item", "Or", 2),
        ("item.items[0]", "Compare", 3),
        ("item.items[0].left", "Trait", 4),
        ("item.items[1]", "Compare", 3),
        ("item.items[1].left", "Trait", 4),
    ]


def test_trees_are_compared_by_what_they_hold():
    assert Property(path=("a",)) == Property(path=("a",), parent=False)
    assert Property(path=("a",)) != Trait(path=("a",))
    assert len({from_json(EXISTS), from_json(EXISTS)}) == 1


def test_a_tree_of_any_depth_can_be_measured():
    tree = from_json(EXISTS)
    for _ in range(50_000):
        tree = Not(item=tree)  # type: ignore[arg-type]
    assert max(depth for _, _, depth in parts(tree)) == 50_002
