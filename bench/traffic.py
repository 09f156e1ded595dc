"""The traffic of a shop: visitors come, look about for a while and go; some buy. What spaces are measured with.

A few thousand visitors are there at a time, each event is of one of them, and one who goes makes room for another:
mostly one who comes often, now and then one who was never there.

Rule: it is random from a fixed seed, so that two runs meet the same visitors; only messageIds are new each time.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator

from bench.events import SOURCE
from segue.core.clock import iso
from segue.core.event import NewRecord

SHARES = {"Page Viewed": 50, "Product Viewed": 25, "Product Added": 13, "Order Completed": 10, "Signed Up": 2}
"""Of a hundred events."""
VISITORS = 2_000
"""How many are there at a time."""
VISIT_EVENTS = 8
"""How many events a visit has, on average."""
NEW_VISITORS = 0.02
BUSY = 3.0
"""The power of the skew: of a hundred visitors the busiest makes a fifth of the visits."""
CATEGORIES = ("shoes", "games", "books", "garden", "kitchen")


def user_of(number: int) -> str:
    """The userId of a visitor."""
    return f"user-{number:08d}"


def anonymous_of(number: int) -> str:
    """The anonymousId of a visitor."""
    return f"{number:08x}-5c1e-4d0c-9c1b-{number * 2_654_435_761 % (1 << 48):012x}"


class Traffic:
    """Visits of `profiles` known visitors, numbered from 0."""

    def __init__(self, profiles: int, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self._profiles = profiles
        self._new = 0
        self._there = [self._next() for _ in range(VISITORS)]
        self._names = [name for name, share in SHARES.items() for _ in range(share)]

    def records(self, count: int, received_at_ms: int, every_ms: float) -> Iterator[NewRecord]:
        """So many events, each so long after the one before."""
        draw = self._random.random
        for turn in range(count):
            place = int(draw() * VISITORS)
            visitor = self._there[place]
            if draw() * VISIT_EVENTS < 1:
                self._there[place] = self._next()
            at = received_at_ms + int(turn * every_ms)
            yield self.record(visitor, self._names[int(draw() * len(self._names))], at)

    def record(self, visitor: int, name: str, at_ms: int) -> NewRecord:
        """One event, as the collector appends it."""
        message_id, user = f"ajs-{os.urandom(16).hex()}", user_of(visitor)
        time = iso(at_ms - 40)
        event = {
            "type": "track",
            "event": name,
            "messageId": message_id,
            "userId": user,
            "anonymousId": anonymous_of(visitor),
            "timestamp": time,
            "properties": self._properties(name),
            "context": self._context(visitor),
            "integrations": {},
            "originalTimestamp": time,
            "sentAt": iso(at_ms - 20),
        }
        body = json.dumps(event, separators=(",", ":")).encode()
        return NewRecord(SOURCE, "track", user, message_id, at_ms, body)

    def _next(self) -> int:
        if self._random.random() < NEW_VISITORS:
            self._new += 1
            return self._profiles + self._new
        return int(self._profiles * self._random.random() ** BUSY)

    def _properties(self, name: str) -> dict[str, object]:
        draw = self._random.random
        product = int(draw() ** 2 * 3_000)
        about = {
            "product_id": f"507f1f77bcf86cd7994{product:05d}",
            "sku": f"G-{product}",
            "category": CATEGORIES[product % len(CATEGORIES)],
            "name": f"Monopoly: edition {product}",
            "brand": f"Brand {product % 70}",
            "price": 5 + product % 300 + 0.99,
            "quantity": 1,
        }
        match name:
            case "Page Viewed":
                return {"path": f"/shop/{about['category']}/{product}", "title": about["name"], "referrer": ""}
            case "Order Completed":
                total = round(5 + draw() * 200, 2)
                order = f"{int(draw() * (1 << 48)):012x}"
                return {"order_id": order, "revenue": total, "total": total, "currency": "EUR", "products": [about]}
            case "Signed Up":
                return {"plan": "pro" if draw() < 0.1 else "free", "method": "password"}
            case _:
                return about

    def _context(self, visitor: int) -> dict[str, object]:
        return {
            "ip": f"10.{visitor % 200}.{visitor // 200 % 250}.7",
            "library": {"name": "analytics.js", "version": "2.11.1"},
            "locale": ("de-DE", "en-GB", "fr-FR")[visitor % 3],
            "page": {"path": f"/shop/{int(self._random.random() * 500)}", "url": "https://shop.example.com/shop"},
            "timezone": "Europe/Berlin",
            "userAgent": f"Mozilla/5.0 (X11; Linux x86_64; rv:{110 + visitor % 12}.0) Gecko/20100101 Firefox/115.0",
        }
