"""Astrolabe, revenue operations: the raw event is posted with Basic authentication; Astrolabe does the
mapping.

Segment's page says what each call does; the address that takes the calls, its limits and its answers are
published nowhere.
Rule: the event goes out as it came in; nothing is mapped here.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from segue.core.destination import Destination, Flow
from segue.core.event import Event
from segue.destinations._partner import ENDPOINT_PATTERN, post_event


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What has to be known of one connector of an Astrolabe workspace."""

    apiKey: Annotated[
        str,
        Meta(
            min_length=1,
            pattern=r"\S",
            title="API Key",
            description="Your Astrolabe API key: Connectors > Add Connector > Segment.com Connector.",
            extra={"secret": True},
        ),
    ]
    endpoint: Annotated[
        str,
        Meta(
            pattern=ENDPOINT_PATTERN,
            title="Endpoint",
            description=(
                "The address that takes Segment calls for your connector. Required, because Astrolabe "
                "publishes none: ask team@astrolabe.so, or give the address of a sandbox."
            ),
        ),
    ]


def send(settings: Settings, event: Event) -> Flow:
    """One event, one post. Source: Segment's partner pages, whose wording Astrolabe's page uses."""
    yield post_event(settings.endpoint, settings.apiKey, event.body)


destination = Destination(
    name="Astrolabe",
    slug="astrolabe",
    id="64d2643196f4937712e54198",
    settings=Settings,
    send=send,
    methods=frozenset({"identify", "group", "track"}),
    description=(
        "Revenue operations: identify creates and updates Users, group creates and updates Accounts and "
        "links Users to them, track adds events. Maintained by Astrolabe."
    ),
    previous_names=("Astrolabe",),
    categories=("Raw Data", "CRM", "Customer Success", "Marketing Automation", "Analytics"),
    status="PUBLIC_BETA",
    website="https://astrolabe.so",
    docs_url="https://segment.com/docs/connections/destinations/catalog/astrolabe/",
    contact="team@astrolabe.so",
    key_help=(
        "In console.astrolabe.so: Connectors > Add Connector > Segment.com Connector; name it and "
        "continue, decide whether to allow or to block users with free email providers, finish. The key is "
        "shown in that dialog."
    ),
    partner_owned=True,
    browser_unbundling_public=False,
    contract=(
        "The vendor's own: which calls it takes, what each of them creates and updates, and the choice to "
        "allow or block users with free email providers. Segment's: the form of the request. PROPOSED by "
        "us, because nothing is published: the address (hence the required endpoint) and the bodies of the "
        "answers."
    ),
)
