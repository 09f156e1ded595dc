"""A User.com app as a test sees it: sends events with one key and looks at the rows."""

from __future__ import annotations

from itertools import count
from typing import Any

from tests.sandbox.conftest import Client, Reply, basic

INBOUND = "/user-com/api/segment/"
ADMIN = "/user-com/_sandbox"
KEY = "demo-user-com-key"

JsonObject = dict[str, Any]


class AppUnderTest:
    """The demo app, or that of another key."""

    def __init__(self, client: Client, key: str = KEY) -> None:
        self.client = client
        self.key = key
        self._numbers = count(1)

    def send(self, type_: str, *, headers: dict[str, str] | None = None, **fields: Any) -> Reply:
        """Sends one event with a messageId of its own."""
        event = {"type": type_, "messageId": f"{self.key}-{next(self._numbers)}", **fields}
        return self.client.post(INBOUND, event, headers={**basic(self.key), **(headers or {})})

    def taken(self, type_: str, **fields: Any) -> None:
        """Sends one event, which must be answered 200."""
        reply = self.send(type_, **fields)
        assert (reply.status, reply.body) == (200, {"status": "ok"})

    def rows(self, table: str) -> list[JsonObject]:
        return self.client.state("user-com")[table]

    def only(self, table: str) -> JsonObject:
        (row,) = self.rows(table)
        return row

    def user(self, custom_id: str) -> JsonObject:
        (row,) = [row for row in self.rows("users") if row["custom_id"] == custom_id]
        return row

    def attribute(self, content_type: str, name: str) -> JsonObject | None:
        found = [
            row for row in self.rows("attributes") if (row["content_type"], row["name_std"]) == (content_type, name)
        ]
        assert len(found) < 2
        return found[0] if found else None

    def define(self, content_type: str, name: str, value_type: str, **more: Any) -> Reply:
        body = {"content_type": content_type, "name": name, "value_type": value_type, **more}
        return self.client.post(f"{ADMIN}/attributes", body)

    def another_key(self, key: str, **options: Any) -> AppUnderTest:
        reply = self.client.post(f"{ADMIN}/keys", {"key": key, **options})
        assert reply.status == 201
        return AppUnderTest(self.client, key)
