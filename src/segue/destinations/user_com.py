"""User.com, once UserEngage: the raw event is posted with Basic authentication; User.com does the mapping.

Its Segment page says what each call does; the address that takes the calls is published nowhere. Keys are
"Segment API keys", kept apart from those of the REST API. No limit on rate or size is known.
Rule: the event goes out as it came in; nothing is mapped here.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from segue.core.destination import Destination, Flow
from segue.core.event import Event
from segue.destinations._partner import ENDPOINT_PATTERN, post_event


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What has to be known of a User.com app."""

    apiKey: Annotated[
        str,
        Meta(
            min_length=1,
            pattern=r"\S",
            title="API Key",
            description="The secret Segment API key of your app: App settings > Advanced > Segment API keys.",
            extra={"secret": True},
        ),
    ]
    endpoint: Annotated[
        str,
        Meta(
            pattern=ENDPOINT_PATTERN,
            title="Endpoint",
            description=(
                "The address that takes Segment calls for your app. Required, because User.com publishes "
                "none: ask your contact there, or give the address of a sandbox."
            ),
        ),
    ]


def send(settings: Settings, event: Event) -> Flow:
    """One event, one post. Source: Segment's partner pages; that User.com takes this form is PROPOSED."""
    yield post_event(settings.endpoint, settings.apiKey, event.body)


destination = Destination(
    name="User.com",
    slug="user-com",
    id="59c93d8a3c0414000129bcb5",
    settings=Settings,
    send=send,
    methods=frozenset({"identify", "track", "page", "group"}),
    description=(
        "Marketing automation and customer engagement: users, companies, page views and event occurrences "
        "with typed attributes."
    ),
    previous_names=("UserEngage", "“User.com”", "User.com"),
    categories=("Personalization", "SMS & Push Notifications", "Email"),
    status="PUBLIC",
    website="https://www.user.com",
    docs_url="https://segment.com/docs/connections/destinations/catalog/user-com/",
    contact="contact@userengage.com",
    key_help=(
        "In User.com: App settings > Advanced > Segment API keys. A key is generated, and can be revoked, "
        "there; one for the public REST API does not work here. On an answer of 403, see that the key is "
        "not revoked and that the page's domain is trusted (App settings > Advanced > Domains)."
    ),
    partner_owned=False,
    browser_unbundling_public=True,
    contract=(
        "The vendor's own: which calls it takes, what each of them does, how attributes are typed, and that "
        "a revoked key or a domain that is not trusted is answered with 403. PROPOSED by us, because "
        "nothing is published: the address (hence the required endpoint), that the event is posted raw with "
        "Basic authentication (the key as user, an empty password) as Segment does for its partners, and "
        "the bodies of the answers."
    ),
)
