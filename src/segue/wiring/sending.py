"""Sending one event by hand.

Rule: it goes the way that real events go, and what was answered is shown as it was answered.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from base64 import b64encode
from contextlib import closing
from typing import Any, NamedTuple

from segue.core.errors import Invalid
from segue.core.event import CALL_TYPES
from segue.state.control import Control
from segue.state.quarantine import QuarantineReader
from segue.wiring.instance import Instance

ANSWER_WITHIN_S = 10.0


class Sent(NamedTuple):
    """The collector's answer to one event."""

    status: int
    body: str
    message_id: str


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


def fates_of(instance: Instance, event: dict[str, Any]) -> tuple[list[str], int]:
    """The codes by which events of this messageId were dropped, oldest first, and how many came again."""
    message_id = str(event["messageId"])
    with closing(QuarantineReader(instance.quarantine)) as quarantine:
        return [drop.code for drop in quarantine.find(message_id)], len(quarantine.find_duplicates(message_id))
