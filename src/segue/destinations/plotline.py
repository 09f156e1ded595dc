"""Plotline, mobile adoption: the raw event is posted with Basic authentication; Plotline does the mapping.

Segment's page says what identify and track do there; the address that takes the calls, its limits and its
answers are published nowhere.
Rule: the event goes out as it came in; nothing is mapped here.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from segue.core.destination import Destination, Flow
from segue.core.event import Event
from segue.destinations._partner import ENDPOINT_PATTERN, post_event


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach one Plotline workspace."""

    apiKey: Annotated[
        str,
        Meta(
            title="API Key",
            description="Your Plotline API key: Plotline dashboard > Credentials.",
            min_length=1,
            pattern=r"\S",
            extra={"secret": True},
        ),
    ]
    endpoint: Annotated[
        str,
        Meta(
            title="Endpoint",
            description=(
                "The address that takes Segment calls for your workspace. Required, because Plotline "
                "publishes none: ask support@plotline.so, or give the address of a sandbox."
            ),
            pattern=ENDPOINT_PATTERN,
        ),
    ]


def send(settings: Settings, event: Event) -> Flow:
    """One event, one post. Source: Segment's partner pages, whose wording Plotline's page uses."""
    yield post_event(settings.endpoint, settings.apiKey, event.body)


destination = Destination(
    name="Plotline",
    slug="plotline",
    id="669f7b835aae8164929d000e",
    settings=Settings,
    send=send,
    methods=frozenset({"identify", "track"}),
    description=(
        "Mobile adoption (stories, videos, animations, streaks, floating buttons): identify updates user "
        "attributes, track brings all user events; both choose the audience of campaigns, attributes "
        "personalise content, events are goals. Maintained by Plotline."
    ),
    previous_names=("Plotline",),
    categories=("Marketing Automation", "Personalization"),
    status="PUBLIC_BETA",
    website="http://www.plotline.so",
    docs_url="https://segment.com/docs/connections/destinations/catalog/plotline/",
    contact="support@plotline.so",
    key_help="In the Plotline dashboard, under Credentials: copy the API key and paste it here.",
    partner_owned=True,
    browser_unbundling_public=False,
    contract=(
        "The vendor's own: that identify updates user attributes and that track brings every event. "
        "Segment's: the form of the request. PROPOSED by us, because nothing is published: the address "
        "(hence the required endpoint), how attributes merge, and the bodies of the answers."
    ),
)
