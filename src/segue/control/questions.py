"""Questions about a space's whole history: a definition before it is saved, and who is in it at any instant.

Rule: nothing is changed by asking; traits and ids are those of now, whatever instant is asked about, and an answer is
of one position of the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from msgspec import Raw
from msgspec.structs import replace

from segue.compute import Definition, Kind, Mistaken, cautions, check, in_order, print_definition, references
from segue.compute.keys import is_key
from segue.compute.parse import parse, read
from segue.compute.sql import Answer, Defined, Preview, defined
from segue.control.computations import KIND_WORDS, find_computation
from segue.core.clock import iso
from segue.core.errors import Invalid
from segue.state.computations import ComputationKind, ComputationRow
from segue.state.computed_rows import ComputationState
from segue.state.control import Control
from segue.state.profiles import ProfileReader
from segue.state.spaces import SpaceRow

PAGE = 500
UNSAVED = "(unsaved)"
"""What a definition without a key is called among the others; no key can be written so."""


class Question(NamedTuple):
    """A definition to be asked about, and all that it refers to. `row` is as it is saved, or as it would be.

    `cautions` are the things in it that are often not meant, a sentence each.
    """

    row: ComputationRow
    definitions: dict[str, Defined]
    cautions: list[str]


class Space(NamedTuple):
    """A space with what bounds its questions. `states`: how far its computations are, by id."""

    control: Control
    row: SpaceRow
    states: Mapping[int, ComputationState]
    retention_ms: int | None


def saved(space: Space, kind: ComputationKind, key: str) -> Question:
    """The audience or computed trait of this key, as it is saved. Raises Invalid where there is none."""
    row = find_computation(space.control, space.row.slug, kind, key)
    return Question(row, _definitions(space, row), [])


def previewed(space: Space, kind: ComputationKind, name: str | None, definition: str | None, now_ms: int) -> Question:
    """What is to be previewed: what is saved under a key, a text, or a text in place of what is saved under a key.

    A `name` that can be no key is a text. One that is switched off is asked about as if it were on. Raises Invalid, and
    Mistaken with every mistake of the text.
    """
    if name is None and definition is None:
        raise Invalid(f"name one: the KEY of {_one(kind)}, or a definition", field="KEY")
    if name is not None and definition is None and not is_key(name):
        name, definition = None, name
    row = (
        ComputationRow(space=space.row.id, kind=kind, key=UNSAVED, name="", definition="", created_at=now_ms)
        if name is None
        else replace(find_computation(space.control, space.row.slug, kind, name), enabled=True)
    )
    found: list[str] = []
    if definition is not None:
        tree, found = _checked(space, row, definition)
        row = replace(row, definition=print_definition(tree))
    definitions = _definitions(space, row)
    in_order({key: each.tree for key, each in definitions.items() if not each.frozen})
    return Question(row, definitions, found)


def shown_preview(asked: Question, found: Preview, profiles: ProfileReader) -> dict[str, Any]:
    """The object of `segue audiences preview --json`."""
    row = asked.row
    values = {sample.profile: sample.value for sample in found.samples}
    samples = [
        {**head, "value": Raw(values[number].encode())} if row.kind == "computed_trait" else head
        for number, head in _heads(profiles, list(values))
    ]
    return {
        "key": None if row.key == UNSAVED else row.key,
        "definition": row.definition,
        "at": iso(found.at_ms),
        "position": found.position,
        "count": found.count,
        "samples": samples,
        "identifiers": [{"type": type_, "profiles": count} for type_, count in found.identifiers.items()],
        "cautions": asked.cautions,
    }


def shown_mistakes(mistaken: Mistaken) -> dict[str, Any]:
    """What `preview --json` prints of a definition that cannot be used."""
    found = [{"message": each.message, "line": each.line, "column": each.column} for each in mistaken.mistakes]
    return {"mistakes": found}


def holders(found: Answer, kind: ComputationKind) -> dict[int, str]:
    """Who is shown as a member or with a value: as of now, a value of null is none."""
    return found.values if kind == "audience" else {each: text for each, text in found.values.items() if text != "null"}


def holders_at(
    values: Mapping[int, str], kind: ComputationKind, profiles: ProfileReader, limit: int | None
) -> Iterator[dict[str, Any]]:
    """Each as `segue audiences members` shows it, by the age of the profiles. Since when is not known: `since` is null.

    Of a computed trait with its `value`.
    """
    numbers = sorted(values)[:limit]
    for begin in range(0, len(numbers), PAGE):
        for number, head in _heads(profiles, numbers[begin : begin + PAGE]):
            value = {} if kind == "audience" else {"value": Raw(values[number].encode())}
            yield {**head, **value, "since": None}


def _checked(space: Space, row: ComputationRow, text: str) -> tuple[Definition, list[str]]:
    """The tree of a text, and what is often not meant in it."""
    kind: Kind = "audience" if row.kind == "audience" else "trait"
    audiences = {each.key for each in space.control.computations_of(space.row.id) if each.kind == "audience"}
    reading = read(text, kind)
    mistakes = check(reading.tree, kind, audiences=audiences)
    if mistakes:
        raise Mistaken(reading.placed(mistakes))
    found = reading.placed(cautions(reading.tree, sources=space.row.sources))
    return reading.tree, [str(each) for each in found]


def _definitions(space: Space, row: ComputationRow) -> dict[str, Defined]:
    """A definition with all that it refers to, directly or not; of one that was deleted what it said last."""
    rows = {each.key: each for each in space.control.computations_of(space.row.id)} | {row.key: row}
    gone = {state.key: (number, state) for number, state in space.states.items() if state.deleted and state.live}
    found: dict[str, Defined] = {}
    waiting = [row.key]
    while waiting:
        key = waiting.pop()
        if key in rows:
            found[key] = defined(rows[key], retention_ms=space.retention_ms)
        else:
            found[key] = _gone(*gone[key])
        if not found[key].frozen:
            named = references(found[key].tree)
            waiting += [
                each
                for each in sorted(named.audiences | named.traits)
                if each not in found and each not in waiting and (each in rows or each in gone)
            ]
    return found


def _gone(number: int, state: ComputationState) -> Defined:
    assert state.live is not None
    tree = parse(state.live.definition, "audience" if state.kind == "audience" else "trait")
    return Defined(tree=tree, id=number, frozen=True)


def _heads(profiles: ProfileReader, numbers: list[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Of these profiles, at most 500, those that are there still, in this order."""
    for each in profiles.profiles(numbers):
        ids = [{"type": linked.type, "id": linked.id} for linked in each.ids]
        yield each.number, {"profile": each.segment_id, "external_ids": ids}


def _one(kind: ComputationKind) -> str:
    return f"{'an' if kind == 'audience' else 'a'} {KIND_WORDS[kind]}"
