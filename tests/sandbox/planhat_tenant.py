"""One tenant of Planhat's sandbox, as tests use it."""

from __future__ import annotations

import itertools
import json
from base64 import b64encode
from typing import Any

from segue.core.destination import check_settings
from segue.core.event import Event
from segue.destinations.planhat import destination

NOON = "2026-11-21T12:00:00.000Z"


class Tenant:
    """One tenant: sends events through the adapter and looks at what the sandbox then holds."""

    def __init__(self, client: Any, *, token: str = "demo-planhat-key", key_id: str = "demo") -> None:
        self.client = client
        self.token = token
        self.key_id = key_id
        self._numbers = itertools.count(1)

    def send(self, call_type: str, **fields: Any) -> Any:
        """The answer to one event; `subdomain` is a setting of the adapter, all else belongs to the event."""
        settings = {"apiKey": self.token, "subdomain": fields.pop("subdomain", "api")}
        event = {"type": call_type, "messageId": f"m{next(self._numbers)}", "timestamp": NOON, **fields}
        flow = destination.send(check_settings(destination, settings), Event(json.dumps(event).encode()))
        request = next(flow)
        return self.client.post("/planhat/dock/segment", raw=request.body, headers=dict(request.headers))

    def sent(self, call_type: str, **fields: Any) -> None:
        reply = self.send(call_type, **fields)
        assert (reply.status, reply.body) == (200, {})

    def identify(self, user_id: str | None = None, /, **traits: Any) -> None:
        who = {"userId": user_id} if user_id else {"anonymousId": "a1"}
        self.sent("identify", **who, traits=traits)

    def raw(self, body: Any, *, authorization: str | None = None) -> Any:
        """The answer to a body that is posted as it stands."""
        if authorization is None:
            authorization = "Basic " + b64encode(f"{self.token}:".encode()).decode()
        return self.client.post("/planhat/dock/segment", body, headers={"Authorization": authorization})

    def read(self, path: str) -> Any:
        return self.client.get(f"/planhat{path}", headers={"Authorization": f"Bearer {self.token}"})

    def admin(self, path: str, body: Any = None) -> Any:
        return self.client.post(f"/planhat/_sandbox/{path}", body)

    def rows(self, table: str) -> list[dict[str, Any]]:
        return [row for row in self.client.state("planhat")[table] if row["key_id"] == self.key_id]

    def reasons(self) -> list[str]:
        return [row["reason"] for row in self.rows("report")]

    def contact(self) -> dict[str, Any]:
        (row,) = self.rows("contacts")
        return row

    def company(self, **fields: Any) -> dict[str, Any]:
        reply = self.admin("companies", fields)
        assert reply.status == 201
        return dict(reply.body)
