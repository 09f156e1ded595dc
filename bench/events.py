"""The events that the benchmark sends: 600 bytes each, as a server-side SDK writes them, every one with its own id.

Rule: all that differs between two events has a fixed width and a fixed place, so that making one costs a few copies.
"""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Sequence

from segue.collect.intake import Taker
from segue.collect.parse import open_batch
from segue.collect.stamp import arrival
from segue.core.event import NewRecord

EVENT_BYTES = 600
BATCH_EVENTS = 20
WRITE_KEY = "bench-write-key"
SOURCE = "bench"

_ID = b"messageId-of-thirty-two-letters-"
_USER = b"whoever-"
_SENT = b"sent-at-nanoseconds-"
_ID_BYTES, _USER_BYTES, _SENT_BYTES = len(_ID), len(_USER), len(_SENT)

SENT_BEFORE = b'"sentNs":"'
"""What stands in an event right before the instant at which it was posted: 20 digits, nanoseconds."""
USER_BEFORE = b'"userId":"'
"""What stands in a message right before its user, who may be called by such an instant."""


def _event(filling: str = "") -> bytes:
    event = {
        "type": "track",
        "messageId": _ID.decode(),
        "userId": f"user-{_USER.decode()}",
        "anonymousId": f"anonymous-{_USER.decode()}",
        "event": "Order Completed",
        "timestamp": "2026-11-21T22:00:00.123Z",
        "properties": {
            "orderId": "50314b8e9bcf000000000000",
            "sentNs": _SENT.decode(),
            "revenue": 25.5,
            "currency": "EUR",
            "products": [{"sku": "G-32", "name": "Monopoly: 3rd Edition", "price": 19, "quantity": 1}],
            "note": filling,
        },
        "context": {"library": {"name": "analytics-python", "version": "2.3.4"}, "locale": "de-DE"},
        "integrations": {},
    }
    return json.dumps(event, separators=(",", ":")).encode()


EVENT = _event("x" * (EVENT_BYTES - len(_event())))
assert len(EVENT) == EVENT_BYTES

EVENT_OF_ITS_TIME = EVENT.replace(b'"userId":"user-whoever-"', b'"userId":"' + _SENT + b'"').replace(
    b'"anonymousId":"anonymous-whoever-",', b""
)
"""The same of a user of its own, who is called by the instant at which it was posted."""


class Template:
    """Bytes that hold one or more events, to be made new again and again."""

    def __init__(self, text: bytes) -> None:
        self._text = bytearray(text)
        self._ids = _places(text, _ID)
        self._users = _places(text, _USER)
        self._sent = _places(text, _SENT)
        self._random_bytes = 16 * len(self._ids)

    def fresh(self, sent_ns: int = 0) -> bytes:
        """The same with new messageIds and users, posted at `sent_ns`."""
        text = self._text
        letters = os.urandom(self._random_bytes).hex().encode()
        at = 0
        for place in self._ids:
            text[place] = letters[at : at + _ID_BYTES]
            at += _ID_BYTES
        at = 0
        for turn, place in enumerate(self._users):
            # Both ids of an event name the same user, one of a million.
            text[place] = b"000" + letters[at : at + 5]
            at += _ID_BYTES * (turn & 1)
        if sent_ns:
            digits = b"%020d" % sent_ns
            for place in self._sent:
                text[place] = digits
        return bytes(text)


def _places(text: bytes, marker: bytes) -> list[slice]:
    places, at = [], text.find(marker)
    while at >= 0:
        places.append(slice(at, at + len(marker)))
        at = text.find(marker, at + 1)
    return places


def batch_body(events: int = BATCH_EVENTS) -> bytes:
    """The body of a batch."""
    return b'{"batch":[' + b",".join([EVENT] * events) + b'],"sentAt":"2026-11-21T22:00:00.456Z"}'


def request(path: str, body: bytes, port: int) -> bytes:
    """One HTTP request as a server-side SDK writes it."""
    key = b64encode(f"{WRITE_KEY}:".encode()).decode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: analytics-python/2.3.4\r\n"
        f"Authorization: Basic {key}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Records:
    """Records as the collector makes them, by its own code, for a log that is filled without it."""

    def __init__(self, received_at_ms: int) -> None:
        self._received_at = received_at_ms
        body = batch_body(1)
        items = open_batch(body).batch
        assert items is not None
        taker = Taker(source=SOURCE, call=None, at=arrival(received_at_ms), event_bytes=32_768, new_id=lambda: "")
        record = taker.take_batch(items, body).records[0]
        self._template = Template(record.body)
        self._id = _places(record.body, _ID)[0]
        self._user = slice(_places(record.body, _USER)[0].start - len("user-"), _places(record.body, _USER)[0].stop)

    def fresh(self, count: int) -> Sequence[NewRecord]:
        """So many new ones."""
        records = []
        for _ in range(count):
            body = self._template.fresh()
            user, message_id = body[self._user].decode(), body[self._id].decode()
            records.append(NewRecord(SOURCE, "track", user, message_id, self._received_at, body))
        return records
