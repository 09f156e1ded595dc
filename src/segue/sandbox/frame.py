"""The frame of a sandbox: what happens to every call before and after the vendor's own semantics.

In order: fault, key, content type, size, body, duplicate, call type, then the vendor's `receive` in the
transaction.
Source: `Receiver` answers by Segment's partner pages; order, texts, dedupe and faults are PROPOSED.
Rule: an answer follows the commit of what it acknowledges; a call that is refused leaves nothing but its
request.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from msgspec import Struct

from segue.sandbox.keys import Key, KeyOptions, checked_options
from segue.sandbox.names import text_id
from segue.sandbox.store import Rows

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from segue.sandbox.mount import Sandbox

__all__ = [
    "BODY_MAX",
    "Answer",
    "Call",
    "FindKey",
    "Inbound",
    "Key",
    "KeyOptions",
    "Receiver",
    "basic_auth",
    "content_refusal",
    "refusal",
    "type_refusal",
]

BODY_MAX = 64 * 1024
"""Bytes of one inbound body. Segment takes events of 32 KB; stamping makes an accepted event larger."""

FindKey = Callable[[str], Key | None]


class Inbound(Struct, frozen=True, kw_only=True):
    """One call on the inbound path, its body decoded. Header names are lower case."""

    headers: dict[str, str]
    event: dict[str, Any]
    message_id: str | None
    url: str
    body: bytes


class Call(Struct, frozen=True, kw_only=True):
    """One call on another path: the vendor's read side, or `_sandbox/...`.

    `path` holds the parameters of the route; `query` the pairs of the query in order; `body` the JSON object
    sent, an empty one where there is none.
    """

    path: dict[str, Any]
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: dict[str, Any]
    url: str

    def first(self, name: str) -> str | None:
        """The first value of a query parameter; None where it is not given."""
        return next((value for key, value in self.query if key == name), None)


class Answer(Struct, frozen=True, kw_only=True):
    """What is answered: any JSON value, as `application/json`."""

    status: int = 200
    body: Any = {}
    headers: dict[str, str] = {}


def refusal(status: int, message: str, headers: dict[str, str] | None = None) -> Answer:
    """A 4xx or 5xx in the one shape that Segment shows to its users: `{"message": ...}`."""
    return Answer(status=status, body={"message": message}, headers=headers or {})


@runtime_checkable
class Receiver(Protocol):
    """A vendor: names, tables and semantics.

    Subclass it, and put an instance named `receiver` in the module.
    """

    slug: ClassVar[str]
    """The mount, such as `user-com`."""
    inbound: ClassVar[str]
    """The path under the mount that takes events."""
    tables: ClassVar[tuple[str, ...]]
    """The lists of `GET state`, in this order."""
    types: ClassVar[frozenset[str] | None] = None
    """The call types that are taken, all others being answered 501; None leaves that to `receive`."""
    content_type_required: ClassVar[bool] = True
    """Whether a call without a Content-Type is refused. A wrong one always is."""
    key_options: ClassVar[type[KeyOptions]] = KeyOptions
    """What may be chosen for a key."""
    demo_options: ClassVar[dict[str, Any]] = {}
    """The options of the key that the sandbox starts with."""
    can_disable: ClassVar[bool] = False
    """Whether keys can be disabled and enabled, besides being revoked."""

    def receive(self, rows: Rows, key: Key, inbound: Inbound) -> Answer:
        """The vendor's semantics. A status of 400 or more undoes every write."""
        ...

    def authenticate(self, headers: Mapping[str, str], find_key: FindKey) -> Key | Answer:
        """The live key of a call on the inbound path, or the refusal.

        Family A unless a vendor says otherwise.
        """
        return basic_auth(headers, find_key)

    def message_id(self, headers: Mapping[str, str], event: Mapping[str, Any]) -> str | None:
        """What the call is deduplicated by."""
        return text_id(event, "messageId")

    def call_type(self, event: Mapping[str, Any]) -> str | None:
        """The call type, as faults match it and `types` lists it."""
        value = event.get("type")
        return value if isinstance(value, str) and value else None

    def state(self, rows: Rows) -> dict[str, list[dict[str, Any]]]:
        """What `GET state` shows."""
        return {table: rows.listing(table) for table in self.tables}

    def routes(self, sandbox: Sandbox) -> Sequence[BaseRoute]:
        """Further routes under the mount, made with `sandbox.route`."""
        return ()

    def new_key(self, options: dict[str, Any]) -> dict[str, Any]:
        """The checked options of a key, defaults filled in. Raises ValueError that names what is wrong."""
        return checked_options(self.key_options, options)


def basic_auth(
    headers: Mapping[str, str],
    find_key: FindKey,
    *,
    missing: str = "Basic authentication with the API key as user and an empty password is required",
    unknown: tuple[int, str] = (401, "Invalid API key"),
    stopped: tuple[int, str] = (403, "API key disabled"),
) -> Key | Answer:
    """Family A: `Authorization: Basic base64(key + ":")`.

    `missing` is the text of the 401 for a header that is absent or malformed, `unknown` the status and text
    for a key that was never issued, `stopped` for one that is revoked or disabled.
    """
    text = _basic_user(headers.get("authorization", ""))
    if text is None:
        return refusal(401, missing, {"WWW-Authenticate": "Basic"})
    key = find_key(text)
    status, message = unknown if key is None else stopped
    if key is None or key.state != "live":
        return refusal(status, message, {"WWW-Authenticate": "Basic"} if status == 401 else None)
    return key


def _basic_user(header: str) -> str | None:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    user, colon, password = text.partition(":")
    return user if colon and not password else None


def content_refusal(receiver: Receiver, headers: Mapping[str, str]) -> Answer | None:
    """415 where the content type is not JSON's."""
    given = headers.get("content-type")
    if given is None and not receiver.content_type_required:
        return None
    if (given or "").partition(";")[0].strip().lower() != "application/json":
        return refusal(415, "Content-Type must be application/json")
    return None


def type_refusal(receiver: Receiver, event: Mapping[str, Any]) -> Answer | None:
    """400 where no call type is named, 501 where it is none of the vendor's."""
    if receiver.types is None:
        return None
    call_type = receiver.call_type(event)
    if call_type is None:
        return refusal(400, "type is required")
    if call_type not in receiver.types:
        return refusal(501, f"{call_type[:40]} is not supported")
    return None
