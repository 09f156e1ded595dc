"""Sending one event by hand, and calling one destination by hand.

Rule: both go the way that real events go, and what was answered is shown as it was answered.
"""

from __future__ import annotations

import asyncio
import json
import os
import urllib.error
import urllib.request
from base64 import b64encode
from contextlib import closing
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from segue.control.destinations import masker, open_settings
from segue.control.secrets import Secrets
from segue.core.clock import iso
from segue.core.destination import Response
from segue.core.errors import Invalid
from segue.core.event import CALL_TYPES, Event
from segue.deliver.addresses import address_policy
from segue.deliver.attempt import DELIVERED, Attempt
from segue.deliver.history import Mask, attempt_shown
from segue.deliver.http import HttpClient
from segue.deliver.lanes import Item
from segue.destinations import catalog
from segue.settings import Settings
from segue.state.control import Control, DestinationRow
from segue.state.quarantine import QuarantineReader
from segue.wiring.clock import SystemClock
from segue.wiring.instance import Address, Instance
from segue.wiring.texts import meaning

NO_ANSWERS = {
    "ECONNREFUSED": "nothing listens there (ECONNREFUSED)",
    "ECONNRESET": "the connection was cut (ECONNRESET)",
    "EHOSTUNREACH": "no way leads there (EHOSTUNREACH)",
    "ENOTFOUND": "there is no such host (ENOTFOUND)",
    "ETIMEDOUT": "it took too long (ETIMEDOUT)",
    "ETLS": "its certificate is not to be trusted (ETLS)",
}
"""What a connection's error says to a person."""

ANSWER_WITHIN_S = 10.0
TEST_MOST_S = 60.0


class Sent(NamedTuple):
    """The collector's answer to one event."""

    status: int
    body: str
    message_id: str


class Called(NamedTuple):
    """A destination's answer to one call, as lines to read."""

    delivered: bool
    lines: list[str]


def new_message_id() -> str:
    """A messageId of an event made by hand."""
    return "segue-cli-" + os.urandom(12).hex()


def made_event(kind: str, user_id: str, name: str) -> dict[str, Any]:
    """A test event of this call type. Raises Invalid for another word."""
    if kind not in CALL_TYPES:
        raise Invalid(f"{kind!r} is none of {', '.join(CALL_TYPES)}", field="--type")
    event: dict[str, Any] = {"type": kind, "userId": user_id}
    match kind:
        case "track":
            event |= {"event": name, "properties": {"sentBy": "segue send"}}
        case "identify":
            event |= {"traits": {"name": "Segue Test", "email": "test@example.com"}}
        case "group":
            event |= {"groupId": "segue-test-group", "traits": {"name": "Segue Test"}}
        case "alias":
            event |= {"previousId": "segue-test-before"}
        case _:
            event |= {"name": "Test", "properties": {}}
    return event


def given_event(text: str) -> dict[str, Any]:
    """The event that someone typed. Raises Invalid where it is no JSON object of a known type."""
    try:
        event = json.loads(text)
    except ValueError as error:
        raise Invalid(f"it is not JSON: {error}", field="EVENT") from None
    if not isinstance(event, dict) or event.get("type", "track") not in CALL_TYPES:
        raise Invalid(f"it must be one JSON object with a type of {', '.join(CALL_TYPES)}", field="EVENT")
    return {"type": "track"} | event


def identified(event: dict[str, Any]) -> dict[str, Any]:
    """The event with a messageId, so that one can ask for it."""
    return event if event.get("messageId") is not None else event | {"messageId": new_message_id()}


def send_event(url: str, control: Control, event: dict[str, Any], write_key: str | None) -> Sent:
    """Post the event to the running collector. Raises Invalid where there is no write key or no answer."""
    keys = [key for source in control.sources for key in source.write_keys]
    if write_key is None and not keys:
        raise Invalid("no source has a write key; describe one in a file, then `segue apply FILE`", field="--write-key")
    request = urllib.request.Request(  # noqa: S310 - the address is this instance's own
        f"{url}/v1/{event['type']}",
        data=json.dumps(event).encode(),
        headers={"Authorization": "Basic " + b64encode(f"{write_key or keys[0]}:".encode()).decode()},
        method="POST",
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=ANSWER_WITHIN_S) as answer:
            return Sent(answer.status, answer.read().decode(), str(event["messageId"]))
    except urllib.error.HTTPError as error:
        with error:
            return Sent(error.code, error.read().decode("utf-8", "replace"), str(event["messageId"]))
    except OSError as error:
        raise Invalid(f"the collector at {url} gave no answer: {error}") from None


def drops_of(instance: Instance, event: dict[str, Any]) -> list[str]:
    """The codes by which events of this messageId were dropped, oldest first."""
    with closing(QuarantineReader(instance.quarantine)) as quarantine:
        return [drop.code for drop in quarantine.find(str(event["messageId"]))]


def call_destination(row: DestinationRow, secrets: Secrets, settings: Settings, address: Address | None) -> Called:
    """Make one real call to the destination, enabled or not. Raises Invalid where its settings cannot be used."""
    kind = catalog()[row.kind]
    opened = open_settings(row, secrets, os.environ)
    call_type = next(name for name in ("identify", "track", *CALL_TYPES) if name in kind.methods)
    now = iso(SystemClock().now_ms())
    made = made_event(call_type, "segue-test", "Segue Test")
    stamps = {"messageId": new_message_id(), "timestamp": now, "originalTimestamp": now, "receivedAt": now}
    event = Event(json.dumps(made | stamps).encode())
    mask = masker(row, secrets, os.environ).mask
    attempt = asyncio.run(_attempt(kind.send(opened, event), event, mask, settings, address))
    shown = attempt_shown(
        at=attempt.started_at,
        duration_ms=attempt.response.duration_ms,
        request=attempt.request,
        response=attempt.response,
        message=attempt.message,
        mask=attempt.mask,
    )
    return Called(attempt.verdict is DELIVERED, _lines(shown, kind.name, call_type, attempt))


async def _attempt(flow: Any, event: Event, mask: Mask, settings: Settings, address: Address | None) -> Attempt:
    sandboxes, collectors = _listeners(address)
    policy = address_policy(allow_internal=settings.allow_internal, sandboxes=sandboxes, collectors=collectors)
    network = HttpClient(policy)
    finished: asyncio.Future[Attempt] = asyncio.get_running_loop().create_future()
    item = Item(0, "", event.message_id, 0, (), event)
    try:
        Attempt([item], flow, mask, network, SystemClock(), finished.set_result).begin()
        return await asyncio.wait_for(finished, TEST_MOST_S)
    finally:
        network.close()


def _listeners(address: Address | None) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Host and port of the sandboxes and of the collector, as the instance last published them."""
    if address is None:
        return [], []
    urls = [urlsplit(url) if url else None for url in (address.sandbox_url, address.url)]
    found = [[(url.hostname or "", url.port or 80)] if url is not None else [] for url in urls]
    return found[0], found[1]


def _lines(shown: dict[str, Any], name: str, call_type: str, attempt: Attempt) -> list[str]:
    request = shown.get("request")
    lines = [f"one {call_type} call to {name}"]
    if request is not None:
        lines.append(f"  {request['method']} {request['url']}")
    answer: Response = attempt.response
    if attempt.message:
        lines.append(f"  not sent: {attempt.message}")
    elif answer.status:
        lines.append(f"  answered {answer.status}: {shown['response']['body'] or '(nothing)'}")
    else:
        lines.append(f"  no answer: {NO_ANSWERS.get(answer.error, answer.error)}")
    if attempt.verdict is DELIVERED:
        lines.append("delivered")
    elif attempt.reason:
        lines.append(f"not delivered: {attempt.reason}. {meaning(attempt.reason)}")
    else:
        lines.append("not delivered; a real event would be tried again")
    return lines
