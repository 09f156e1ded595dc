"""Planhat, customer success: events go out as they are, and Planhat maps them to contacts.

API: `POST https://{subdomain}.planhat.com/dock/segment` with Basic authentication (Planhat's public docs).
Limit: 200 calls a minute for each tenant. The two keys added to the body are PROPOSED: our own contract.
Rule: apart from `user_id` and `source`, every value of the body goes out with the bytes it was accepted with.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from segue.core.destination import Destination, Flow
from segue.core.event import Event
from segue.destinations._partner import ENDPOINT_PATTERN, post_event

SUBDOMAINS = ("api", "api-eu", "analytics", "api-eu2", "api-eu3", "api-us2")
"""The first three are Segment's own choices, the others stand in public clients; Planhat has no full list."""

SUBDOMAIN_PATTERN = r"^[a-z0-9-]{1,32}$(?!\n)"
"""It becomes part of a host name: nothing else may pass. `$` alone would let a line end through."""

CALLS_PER_MINUTE = 200
"""Planhat's soft limit (their docs, "Authentication & limits")."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """How to reach one Planhat tenant."""

    apiKey: Annotated[
        str,
        Meta(
            title="Tenant Token",
            description="From Planhat: App Settings > API Access.",
            min_length=1,
            pattern=r"\S",
            extra={"secret": True},
        ),
    ]
    subdomain: Annotated[
        str,
        Meta(
            title="subdomain",
            description=(
                "Your Planhat API subdomain. Another one than those listed may be given: up to 32 lower-case letters, "
                "digits and hyphens, such as `api-eu2`."
            ),
            pattern=SUBDOMAIN_PATTERN,
            extra={"choices": SUBDOMAINS},
        ),
    ] = "api"
    endpoint: Annotated[
        Annotated[str, Meta(pattern=ENDPOINT_PATTERN)] | None,
        Meta(
            title="Endpoint",
            description="Posts to this address instead of Planhat's, such as the sandbox's.",
            extra={"hidden": True},
        ),
    ] = None

    @property
    def url(self) -> str:
        """Where events go: the subdomain's host, unless `endpoint` names another address."""
        return self.endpoint or f"https://{self.subdomain}.planhat.com/dock/segment"


def send(settings: Settings, event: Event) -> Flow:
    """Post the event with `user_id` and `source` beside what was sent; Planhat does the mapping."""
    yield post_event(settings.url, settings.apiKey, body_for(event), shown_settings={"subdomain": settings.subdomain})


def body_for(event: Event) -> bytes:
    """The event's bytes with `user_id` (a copy of `userId`, where there is one) and `source`: "Segment".

    Planhat documents the name `user_id`; every call carries Segment as its source (Segment's page).
    """
    body = event.body
    members = _decode_members(body)
    if "source" in members or "user_id" in members:
        return _merged(event, members)
    added = b',"source":"Segment"}'
    if event.user_id:
        added = b',"user_id":' + msgspec.json.encode(event.user_id) + added
    return body[: body.rindex(b"}")] + added


# Cheaper than to search the bytes for the two names, and right where one is written with an escape.
_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode


def _merged(event: Event, members: dict[str, Raw]) -> bytes:
    """The body where an added key is there already: none comes twice, the sender's own `user_id` stays."""
    if event.user_id and bytes(members.get("user_id", b"null")) == b"null":
        members["user_id"] = Raw(msgspec.json.encode(event.user_id))
    members["source"] = Raw(b'"Segment"')
    return msgspec.json.encode(members)


destination = Destination(
    name="Planhat",
    slug="planhat",
    id="55bbefd70a20f4e22f0fb3e5",
    previous_names=("Planhat",),
    categories=("Customer Success",),
    description="Customer success platform: contacts, companies, what they do, and metrics about them.",
    settings=Settings,
    send=send,
    methods=frozenset({"identify", "track", "page", "group", "alias"}),
    website="http://www.planhat.com",
    docs_url="https://segment.com/docs/connections/destinations/catalog/planhat/",
    contact="https://support.planhat.com",
    key_help="App Settings > API Access",
    browser_unbundling_public=True,
    contract=(
        "Planhat's own: the address /dock/segment, Basic authentication with the tenant token, the names "
        "user_id, traits.email and traits.companyId, the limit of 200 calls a minute. "
        "PROPOSED by us, until a document of Planhat says otherwise: adding user_id and source to the event "
        "as it was sent, the subdomains beyond api, api-eu and analytics, and what the answers hold. "
        "Alias is in Segment's catalog; what Planhat does with it is not documented."
    ),
    max_rate=CALLS_PER_MINUTE / 60,
)
