"""What a destination is: data plus pure functions that the delivery stage drives.

A kind of destination is one module of `segue.destinations` with one `destination = Destination(...)`.
Its `send` is a generator: it yields `Request`s and is sent a `Response` for each; returning means delivered.

Rule: a flow does no I/O, knows no clock and keeps nothing between attempts; it may run again after a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from enum import Enum
from typing import Any

import msgspec
from msgspec import Struct

from segue.core.errors import Invalid
from segue.core.event import Event


class Verdict(Enum):
    """What an answer means for the event."""

    DELIVERED = "delivered"
    RETRY = "retry"
    REFUSED = "refused"


class Request(Struct, frozen=True, kw_only=True):
    """One HTTP request. With `judge`, the flow is sent every answer, also failures (`Response.status` 0 with `error`);
    without it, only a 2xx comes back and any other answer ends the attempt."""

    method: str = "POST"
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    judge: bool = False


class Response(Struct, frozen=True, kw_only=True):
    """One answer. `status` 0 means that none came: `error` then holds a code such as ETIMEDOUT.

    `retry_after_ms` is read from `Retry-After`, None where absent.
    """

    status: int
    body: bytes = b""
    error: str = ""
    duration_ms: int = 0
    retry_after_ms: int | None = None


RETRYABLE = frozenset({0, 408, 423, 429}) | frozenset(range(500, 600)) - {501}


def verdict(status: int) -> Verdict:
    """2xx is delivered; no answer, 408, 423, 429 and 5xx but 501 are retried; all else is refused.

    Source: Segment's action framework, by status; redirects are not followed, so a 3xx is a refusal.
    """
    if 200 <= status < 300:
        return Verdict.DELIVERED
    return Verdict.RETRY if status in RETRYABLE else Verdict.REFUSED


Flow = Generator[Request, Response, None]
"""One event: yields requests, is sent answers. May raise `Refused` or `Unsuccessful`."""

BatchFlow = Generator[Request, Response, "list[Response] | None"]
"""Many events in one go. Returns one answer for each item in order, or None where all were delivered."""


class Destination(Struct, frozen=True, kw_only=True):
    """A catalog entry and the functions behind it."""

    name: str
    slug: str
    id: str
    settings: type[Struct]
    send: Callable[[Any, Event], Flow]
    methods: frozenset[str]
    description: str
    previous_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    status: str = "PUBLIC"
    website: str = ""
    docs_url: str = ""
    contact: str = ""
    key_help: str = ""
    partner_owned: bool = False
    browser_unbundling_public: bool = False
    contract: str = ""
    """Which part of the wire format is the vendor's own and which is PROPOSED by us."""
    max_rate: float | None = None
    """Requests a second that this vendor allows, where it says so."""
    send_batch: Callable[[Any, Sequence[Event]], BatchFlow] | None = None
    batch_size: Callable[[Any], int] = lambda _settings: 1
    """The most events in one request; 1 means that batching is off."""

    @property
    def names(self) -> frozenset[str]:
        """Every name by which an event's `integrations` object may call this destination."""
        return frozenset({self.name, *self.previous_names})


Place = tuple[str, ...]
"""Where a value stands inside another: names of fields, and `*` for each item of a list or value of a map."""


class SettingField(Struct, frozen=True, kw_only=True):
    """One setting of a kind of destination, as a form, a check and a docs table need it."""

    name: str
    label: str
    type: str
    description: str
    required: bool
    secret_places: tuple[Place, ...] = ()
    """Where secrets stand inside the value; the empty place is the value itself."""
    default: Any = None
    choices: tuple[str, ...] = ()
    hidden: bool = False

    @property
    def secret(self) -> bool:
        """Whether the value as a whole is a secret."""
        return () in self.secret_places


def setting_fields(settings: type[Struct]) -> tuple[SettingField, ...]:
    """The fields of a `Settings` Struct.

    A field's `Meta` gives `title` (label), `description`, and in `extra`: `secret`, `hidden`, and `choices` where a
    select also takes a text that is not listed. `secret` may also stand at a field of a Struct inside.
    """
    return tuple(_setting_field(field) for field in msgspec.structs.fields(settings))


def _setting_field(field: msgspec.structs.FieldInfo) -> SettingField:
    info = msgspec.inspect.type_info(field.type)
    meta: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    while isinstance(info, msgspec.inspect.Metadata):
        meta.update(info.extra_json_schema or {})
        extra.update(info.extra or {})
        info = info.type
    if isinstance(info, msgspec.inspect.UnionType):
        info = next(member for member in info.types if not isinstance(member, msgspec.inspect.NoneType))
    choices = tuple(str(value) for value in info.values) if isinstance(info, msgspec.inspect.LiteralType) else ()
    choices = choices or tuple(extra.get("choices", ()))
    default = field.default if field.default is not msgspec.NODEFAULT else None
    if field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    return SettingField(
        name=field.encode_name,
        label=meta.get("title", field.encode_name),
        type="select" if choices else _type_name(info),
        description=meta.get("description", ""),
        required=field.required,
        secret_places=tuple(dict.fromkeys(_secret_places(msgspec.inspect.type_info(field.type)))),
        default=default,
        choices=choices,
        hidden=bool(extra.get("hidden")),
    )


def _secret_places(info: msgspec.inspect.Type) -> Iterator[Place]:
    match info:
        case msgspec.inspect.Metadata():
            yield from [()] if (info.extra or {}).get("secret") else _secret_places(info.type)
        case msgspec.inspect.UnionType():
            for member in info.types:
                yield from _secret_places(member)
        case msgspec.inspect.ListType():
            yield from (("*", *place) for place in _secret_places(info.item_type))
        case msgspec.inspect.DictType():
            yield from (("*", *place) for place in _secret_places(info.value_type))
        case msgspec.inspect.StructType():
            for field in info.fields:
                yield from ((field.encode_name, *place) for place in _secret_places(field.type))


_TYPE_NAMES: dict[type[Any], str] = {
    msgspec.inspect.StrType: "string",
    msgspec.inspect.BoolType: "boolean",
    msgspec.inspect.IntType: "number",
    msgspec.inspect.FloatType: "number",
    msgspec.inspect.DictType: "text-map",
}


def _type_name(info: msgspec.inspect.Type) -> str:
    return _TYPE_NAMES.get(type(info), "array")


def check_settings(destination: Destination, values: object) -> Any:
    """The kind's `Settings` made of plain values. Raises `Invalid` naming the setting, never its value."""
    try:
        return msgspec.convert(values, destination.settings)
    except msgspec.ValidationError as error:
        text, _, where = str(error).partition(" - at `$")
        raise Invalid(text, field="settings" + where.rstrip("`")) from None
