"""What the sandboxes were told of what a space has computed, and whether all of it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from click.testing import CliRunner

from segue.cli import segue

from .running import Instance

Told = tuple[str, str, str, Any]
"""The user, or the anonymousId; the call (a track call by its event); the key; the value as the vendor was sent it."""

_BESIDE = {"email", "user_email", "audience_key", "trait_key"}


def told_of(call: dict[str, Any]) -> Iterator[Told]:
    """What one call of a sandbox says of what was computed: nothing where it is somebody's own event."""
    body = call["body"]
    if not call["headers"].get("x-message-id", body.get("messageId", "")).startswith("personas_"):
        return
    assert call["answer"]["status"] < 300, call
    if "eventSource" in body:  # Pointillist's own form
        who, name, values = body["actors"]["Customer"], body["eventType"], body["labels"] | body["numbers"]
    else:
        who, name = body, body.get("event", body["type"])
        values = body["traits"] if name == "identify" else body["properties"]
    for key in values.keys() - _BESIDE:
        yield who.get("userId") or who["anonymousId"], name, key, values[key]


def all_told(instance: Instance, slug: str) -> list[Told]:
    """All that a vendor was ever told, in order of arrival."""
    return [told for call in instance.vendor(slug).requests() for told in told_of(call)]


def is_quiet(instance: Instance) -> bool:
    """Nothing is on its way: no event, no message, no new definition, no first sync."""
    if any(entry["lag"] for entry in instance.status()["stages"] if entry["name"] != "lake"):
        return False
    for words in ("audiences", "traits"):
        # in this process, for it is asked again and again
        shown = CliRunner().invoke(segue, [words, "status", "--json", "--data", str(instance.data)])
        assert shown.exit_code == 0, shown.output
        for each in json.loads(shown.stdout):
            if each["state"] not in ("live", "frozen"):
                return False
            if any(line["state"] not in ("up_to_date", "off") for line in each["connections"]):
                return False
    return not any(entry["lag"] or entry["retrying"] for entry in instance.status()["destinations"])
