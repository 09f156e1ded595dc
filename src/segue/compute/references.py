"""What a definition names: events, traits, other audiences; and the order in which definitions must be computed.

Rule: definitions refer to each other only by `audience()` and by the first name of a `trait()`, and never in a circle.

Source: Segment refuses cycles; the greatest depth is PROPOSED.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec import Struct

from segue.compute.mistakes import Mistake, Mistaken, closest
from segue.compute.tree import Audience, Definition, Event, Trait, parts

DEPTH_MOST = 10
"""How many references may follow on each other."""


class References(Struct, frozen=True):
    """What a definition names. `traits` are first names of paths: of custom traits, computed ones and audiences."""

    audiences: frozenset[str]
    traits: frozenset[str]
    events: frozenset[str]
    sources: frozenset[str]


def references(tree: Definition) -> References:
    """What a definition names, wherever it stands in it."""
    found = [part for _, part, _ in parts(tree)]
    return References(
        audiences=frozenset(part.key for part in found if isinstance(part, Audience)),
        traits=frozenset(name for part in found if isinstance(part, Trait) for name in part.path[:1]),
        events=frozenset(part.name for part in found if isinstance(part, Event)),
        sources=frozenset(source for part in found if isinstance(part, Event) for source in part.exclude_sources),
    )


def unknown_audiences(tree: Definition, known: Collection[str]) -> list[Mistake]:
    """A mistake for each `audience()` that names none of the known keys."""
    mistakes = []
    for path, part, _ in parts(tree):
        if isinstance(part, Audience) and part.key not in known:
            meant = closest(part.key, known)
            advice = f"; did you mean {meant!r}?" if meant else ""
            message = f"there is no audience with the key {part.key!r}{advice}"
            mistakes.append(Mistake(message=message, path=path, found=part.key, meant=meant))
    return mistakes


def in_order(definitions: Mapping[str, Definition]) -> list[str]:
    """The keys, each after those that its definition refers to; the same for any order of the mapping.

    Raises Mistaken where definitions refer to each other in a circle, naming it, or more than `DEPTH_MOST` deep.
    """
    needed = {key: _needed(key_tree, definitions) for key, key_tree in definitions.items()}
    depths: dict[str, int] = {}
    for start in sorted(needed):
        _visit(start, needed, depths)
    too_deep = [key for key, depth in depths.items() if depth > DEPTH_MOST]
    if too_deep:
        message = f"{too_deep[0]!r} refers to definitions more than {DEPTH_MOST} deep"
        raise Mistaken([Mistake(message=message, found=too_deep[0])])
    return list(depths)


def _needed(tree: Definition, definitions: Collection[str]) -> list[str]:
    """The definitions that a tree refers to, in order; a trait that is no definition is a custom one."""
    named = references(tree)
    return sorted((named.audiences | named.traits) & set(definitions))


def _visit(start: str, needed: Mapping[str, list[str]], depths: dict[str, int]) -> None:
    """Note the depth of `start` after those of all it needs. No recursion: a chain may be as long as there are keys."""
    way = [start]
    while way:
        key = way[-1]
        missing = next((name for name in needed[key] if name not in depths), None)
        if missing is None:
            depths.setdefault(key, max((depths[name] + 1 for name in needed[key]), default=0))
            way.pop()
        elif missing in way:
            circle = [*way[way.index(missing) :], missing]
            message = f"these definitions refer to each other in a circle: {' -> '.join(circle)}"
            raise Mistaken([Mistake(message=message, found=missing)])
        else:
            way.append(missing)
