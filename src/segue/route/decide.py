"""The decision whether one event goes to one destination, and if not, by which reason code.

Rule: the checks run in the order disabled, integrations object, bundled, unsupported type; the first that
holds names the reason. The decision depends on its arguments alone.

The `integrations` object, where Segment's documents are silent (PROPOSED):
- `true` and an object of options mean yes, `false` means no; any other value is ignored, as if its name were
  not there.
- Of several names of one destination, one `false` is enough to keep the event away: an exclusion is never
  undone by another name of the same destination that says yes.
- `All` is asked only where no name of this destination has a meaning; without it the answer is yes.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from segue.core.destination import Destination
from segue.core.event import Event, raw_object


class Send(Struct, frozen=True, gc=False):
    """The event goes to the destination."""


class Filtered(Struct, frozen=True, gc=False):
    """The event does not go to the destination. `code` is one of `core.reasons.FILTERED`."""

    code: str


SEND = Send()
DISABLED = Filtered("DESTINATION_DISABLED")
EXCLUDED = Filtered("FILTERED_BY_INTEGRATIONS_OBJECT")
SENT_CLIENT_SIDE = Filtered("MESSAGE_SENT_CLIENT_SIDE")
UNSUPPORTED = Filtered("UNSUPPORTED_EVENT_TYPE")

_ABSENT = Raw(b"null")
_EMPTY = Raw(b"{}")
_TRUE = Raw(b"true")
_FALSE = Raw(b"false")


def decide(event: Event, kind: Destination, *, enabled: bool, catalog_names: frozenset[str]) -> Send | Filtered:
    """`SEND`, or why not.

    `catalog_names` are the names by which `integrations` may call this kind: `kind.names`, built once by the
    caller, for the property makes a new set each time. They are case-sensitive (Segment, "Filtering with the
    integrations object"). Warehouses and names of other destinations play no part.
    """
    if not enabled:
        return DISABLED
    fields = event.fields
    integrations = fields.integrations
    # Nearly every event names nothing: two comparisons of raw bytes save the decoding.
    if integrations != _ABSENT and integrations != _EMPTY and _excluded(integrations, catalog_names):
        return EXCLUDED
    if fields.metadata != _ABSENT and not catalog_names.isdisjoint(_bundled(fields.metadata)):
        return SENT_CLIENT_SIDE
    return SEND if event.type in kind.methods else UNSUPPORTED


def _excluded(integrations: Raw, names: frozenset[str]) -> bool:
    """Whether the object keeps the event from the destination called by any of `names`."""
    given = raw_object(integrations)
    meanings = [_meaning(given[name]) for name in names if name in given]
    if False in meanings:
        return True
    if True in meanings:
        return False
    return _meaning(given.get("All", _TRUE)) is False


def _meaning(value: Raw) -> bool | None:
    """Yes for `true` and for an object of options, no for `false`, None for a value that says neither."""
    if value == _TRUE or bytes(memoryview(value)[:1]) == b"{":
        return True
    return False if value == _FALSE else None


class _Metadata(Struct, gc=False):
    """What Segment's browser library says of itself; only the names it has served are of interest."""

    bundled: Raw = _ABSENT


_decode_metadata = msgspec.json.Decoder(_Metadata).decode
_decode_names = msgspec.json.Decoder(list[str]).decode
_decode_list = msgspec.json.Decoder(list[object]).decode


def _bundled(metadata: Raw) -> list[str]:
    """The names under `_metadata.bundled`: of a list its texts, of anything else none."""
    try:
        bundled = _decode_metadata(metadata).bundled
    except msgspec.ValidationError:
        return []
    try:
        return _decode_names(bundled)
    except msgspec.ValidationError:
        pass
    try:
        return [name for name in _decode_list(bundled) if isinstance(name, str)]
    except msgspec.ValidationError:
        return []
