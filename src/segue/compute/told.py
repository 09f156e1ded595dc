"""The ledger's rule: who must be told what, given what each was told last.

First syncs, new destinations, new ids, merges, cadences and resumed syncs are all this one rule.

Rule: after what it gives was written, every tuple in the ledger was last told the value of today, and asking again
gives nothing; nobody is told an end of what was never begun.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from segue.compute.checks import Kind
from segue.compute.tuples import IdentityTuple
from segue.core.profile import ExternalId


class Told(Struct, frozen=True, gc=False):
    """One row of the ledger: the value last sent to a tuple, as canonical JSON, when the profile was at `version`."""

    value: str
    version: int
    profile: int


class Telling(Struct, frozen=True):
    """What follows for one connection: messages in order, ledger rows to write and ledger rows to delete."""

    send: tuple[tuple[IdentityTuple, str], ...] = ()
    put: tuple[tuple[IdentityTuple, Told], ...] = ()
    drop: tuple[IdentityTuple, ...] = ()


NOTHING = Telling()


def decide(
    now: Sequence[IdentityTuple],
    value: str | None,
    kind: Kind,
    ledger: Mapping[str, Told],
    owned: Callable[[ExternalId], bool],
    *,
    profile: int,
    version: int,
) -> Telling:
    """What to send of a profile's value, and how the ledger is to follow.

    `now` are the profile's tuples, none where it is gone; `value` is canonical JSON, None where it has none. `ledger`
    holds the rows of this connection, by a tuple's text, as they stood before this change: those of the profile's
    number, of the numbers it has absorbed, and of its tuples. `owned` says whether a profile has an id still, as it is
    after the change. `profile` and `version` go into the rows written.
    """
    off = "false" if kind == "audience" else "null"
    value = off if value is None else value
    begun = _begun(ledger, off) if value == off else None
    row = Told(value, version, profile)
    send: list[tuple[IdentityTuple, str]] = []
    put: list[tuple[IdentityTuple, Told]] = []
    left = dict(ledger)
    for each in now:
        known = left.pop(each.text, None)
        if known is not None and known.value == value:
            if known.profile != profile:
                put.append((each, Told(value, known.version, profile)))
        elif known is not None or begun is None or each.key_id in begun:
            send.append((each, value))
            put.append((each, row))
    if not (put or left):
        return NOTHING
    gone = [(IdentityTuple.from_text(text), told) for text, told in sorted(left.items())]
    send += [(each, off) for each, told in gone if told.value != off and not owned(each.key_id)]
    return Telling(send=tuple(send), put=tuple(put), drop=tuple(each for each, _ in gone))


def _begun(ledger: Mapping[str, Told], off: str) -> frozenset[ExternalId]:
    """The key ids of the tuples that were last told something other than `off`."""
    return frozenset(IdentityTuple.from_text(text).key_id for text, told in ledger.items() if told.value != off)
