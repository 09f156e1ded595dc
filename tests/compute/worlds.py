"""A space in small: profiles to which things happen, evaluated by the machine as events come and time passes, and by
the plain evaluator from all that happened.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from segue.compute import accumulators, entries, plans, reducers
from segue.compute.answers import Answers, Computation
from segue.compute.asking import Person
from segue.compute.entries import ChunkKey, Run
from segue.compute.history import Absence, History, Occurrence
from segue.compute.leaves import Leaves, decode, encode
from segue.compute.machine import Machine
from segue.compute.program import Compiled, Program
from segue.compute.tree import Condition, Definition
from segue.compute.windows import WHOLE, Reach
from segue.core.profile import Cause, ExternalId
from segue.core.profile import Trait as Version


class Held(NamedTuple):
    """What is held of a profile."""

    value: str | None
    once: bool = False


class Sizes(NamedTuple):
    """The bounds that are made small, so that few events are many."""

    chunk: int = 256
    unique: int = 10_000
    capped: int = 1_000


@contextlib.contextmanager
def sizes(of: Sizes) -> Iterator[None]:
    """These bounds hold meanwhile."""
    names = [(entries, "CHUNK_ENTRIES"), (accumulators, "UNIQUE_MOST"), (reducers, "UNIQUE_MOST"), (plans, "CAPPED_AT")]
    before = [getattr(module, name) for module, name in names]
    try:
        for (module, name), value in zip(names, (of.chunk, of.unique, of.unique, of.capped), strict=True):
            setattr(module, name, value)
        yield
    finally:
        for (module, name), value in zip(names, before, strict=True):
            setattr(module, name, value)


class Rows:
    """The chunks as a store has them."""

    def __init__(self) -> None:
        self.bodies: dict[ChunkKey, bytes] = {}

    def chunk(self, profile: int, leaf: int, number: int) -> bytes | None:
        return self.bodies.get((profile, leaf, number))

    def keep(self, machine: Machine) -> None:
        """Commit what the machine changed."""
        writes, deletes = machine.take_chunks()
        assert not set(writes) & set(deletes)
        self.bodies |= writes
        for key in deletes:
            self.bodies.pop(key, None)


class Profile:
    """One profile, with all that ever happened to it."""

    def __init__(self, number: int, ids: Sequence[ExternalId]) -> None:
        self.number = number
        self.ids = list(ids)
        self.leaves = Leaves()
        self.due: int | None = None
        self.held: dict[int, Held] = {}
        self.occurrences: list[dict[str, Any]] = []
        self.versions: dict[str, list[Version]] = {}

    @property
    def person(self) -> Person:
        """What the machine is told of it: of each trait the latest version."""
        latest = {name: max(found, key=lambda each: each.cause.order) for name, found in self.versions.items()}
        return Person(latest, self.ids)


class World:
    """`compiled` are the definitions; what is said of every profile at every instant is compared."""

    def __init__(self, compiled: Sequence[Compiled], at_ms: int) -> None:
        self.rows = Rows()
        self.at_ms = at_ms
        self.profiles: dict[int, Profile] = {}
        self.use(compiled)

    def use(self, compiled: Sequence[Compiled]) -> None:
        """From now on these are the definitions."""
        self.compiled = list(compiled)
        self.computations = {
            each.key: Computation(tree=each.tree, reach=each.reach, include_anonymous=each.include_anonymous)
            for each in compiled
        }
        self.machine = Machine(Program(compiled), self.rows)

    def join(self, number: int, *ids: ExternalId) -> None:
        """A new profile."""
        self.profiles[number] = profile = Profile(number, ids)
        self.evaluate(profile, self.machine.program.of_everybody)

    def happen(self, profile: Profile, fields: Mapping[str, Any]) -> None:
        """An event comes."""
        profile.occurrences.append(dict(fields))
        self.evaluate(profile, self.machine.add(profile.leaves, profile.number, Occurrence(**fields)))

    def identify(self, profile: Profile, name: str, value: Any, t: int) -> None:
        """A trait is set."""
        cause = Cause(0, self.at_ms, t, f"i{len(profile.versions.get(name, ()))}-{profile.number}", "web")
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        profile.versions.setdefault(name, []).append(Version(text, cause))
        self.evaluate(profile, self.machine.program.by_trait(name))

    def gain(self, profile: Profile, id_: ExternalId) -> None:
        """It gets an id."""
        profile.ids.append(id_)
        self.evaluate(profile, self._concerned(profile))

    def merge(self, survivor: Profile, absorbed: Profile) -> None:
        """One profile becomes part of another."""
        touched = self.machine.merge(survivor.leaves, survivor.number, absorbed.leaves, absorbed.number)
        survivor.occurrences += absorbed.occurrences
        survivor.ids += absorbed.ids
        for name, versions in absorbed.versions.items():
            survivor.versions.setdefault(name, []).extend(versions)
        for id_, held in absorbed.held.items():
            mine = survivor.held.get(id_, Held(None))
            value = "false" if held.once and mine.value is None else mine.value
            survivor.held[id_] = Held(value, held.once or mine.once)
        del self.profiles[absorbed.number]
        self.evaluate(survivor, touched | self._concerned(survivor))

    def evaluate(self, profile: Profile, touched: set[int] | frozenset[int]) -> None:
        """Look at the profile at the present instant."""
        found = self.machine.evaluate(profile.leaves, profile.number, profile.person, profile.held, touched, self.at_ms)
        for id_, value in found.values.items():
            before = profile.held.get(id_, Held(None))
            profile.held[id_] = Held(value, before.once or (value == "true" and self._is_audience(id_)))
        assert found.due is None or found.due > self.at_ms
        profile.due = found.due

    def pass_until(self, at_ms: int) -> None:
        """Time passes; who is due before is looked at then, and nothing may have changed just before."""
        wakes = 0
        while (due := self._next(at_ms)) is not None:
            wakes += 1
            assert wakes < 2_000
            if due.due - 1 > self.at_ms:
                self.at_ms = due.due - 1
                self.check(due)
            self.at_ms = due.due
            self.evaluate(due, frozenset())
            self.check(due)
        if at_ms - 1 > self.at_ms:
            self.at_ms = at_ms - 1
            self.check()
        self.at_ms = max(self.at_ms, at_ms)

    def check(self, *profiles: Profile) -> None:
        """What is held is what the plain evaluator says, once those are looked at who are due at this very instant."""
        while not profiles and (due := self._next(self.at_ms + 1)) is not None:
            self.evaluate(due, frozenset())
        for profile in profiles or self.profiles.values():
            said = {each.key: self.held(profile, each) for each in self.compiled}
            expected = self.plain(profile)
            assert said == expected, (profile.number, self.at_ms, said, expected)

    def plain(self, profile: Profile) -> dict[str, str | None]:
        """What the plain evaluator says of a profile now."""
        history = History(
            occurrences=[Occurrence(**each) for each in profile.occurrences],
            traits=profile.versions,
            ids=profile.ids,
        )
        once = {each.key for each in self.compiled if profile.held.get(each.id, Held(None)).once}
        answers = Answers(self.computations, history, once_in=once)
        found = {key: answers.value(key, self.at_ms) for key in self.computations}
        return {
            key: None if isinstance(value, Absence) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            for key, value in found.items()
        }

    def held(self, profile: Profile, compiled: Compiled) -> str | None:
        """What is held; of an audience by whom nothing is, that it has no such member."""
        value = profile.held.get(compiled.id, Held(None)).value
        return "false" if value is None and compiled.kind == "audience" else value

    def restart(self) -> None:
        """All states go out to the store and come back."""
        self.rows.keep(self.machine)
        for profile in self.profiles.values():
            profile.leaves = decode(encode(profile.leaves))
        self.machine = Machine(Program(self.compiled), self.rows)

    def check_rows(self) -> None:
        """The store has exactly the chunks that the states name."""
        self.rows.keep(self.machine)
        named = set()
        for profile in self.profiles.values():
            for leaf, state in profile.leaves.states.items():
                for run in (state.counting, state.waiting):
                    named |= {(profile.number, leaf, number) for number in self._chunks(run, profile.number, leaf)}
        assert set(self.rows.bodies) == named

    def _chunks(self, run: Run | None, profile: int, leaf: int) -> Iterator[int]:
        if run is not None and run.middle is not None:
            yield from self._chunks(run.middle, profile, leaf)
            state = self.profiles[profile].leaves.states[leaf]
            place = entries.Place(self.machine._chunks, profile, leaf, state)
            yield from (number for _, number in run.middle.ascending(place))

    def _next(self, before_ms: int) -> Profile | None:
        due = [each for each in self.profiles.values() if each.due is not None and each.due < before_ms]
        return min(due, key=lambda each: (each.due, each.number), default=None)

    def _concerned(self, profile: Profile) -> set[int]:
        return self.machine.program.concerned(profile.leaves, profile.held, profile.versions)

    def _is_audience(self, id_: int) -> bool:
        return any(each.id == id_ and each.kind == "audience" for each in self.compiled)


def compiled(
    id_: int, key: str, tree: Definition, reach: Reach = WHOLE, *, include_anonymous: bool = False, **more: Any
) -> Compiled:
    """A definition of its kind."""
    return Compiled(
        id=id_,
        generation=more.pop("generation", 1),
        key=key,
        kind="audience" if isinstance(tree, Condition) else "computed_trait",
        tree=tree,
        reach=reach,
        include_anonymous=include_anonymous,
        **more,
    )
