"""The admin of one sandbox, as a tester uses it."""

from __future__ import annotations

from typing import Any

import requests


class Vendor:
    """One vendor's sandbox by its address."""

    def __init__(self, url: str) -> None:
        self._admin = f"{url}/_sandbox"

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One call of the admin; its answer, which must be a good one."""
        answer = requests.request(method, f"{self._admin}/{path}", json=body, timeout=20)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def state(self) -> dict[str, list[dict[str, Any]]]:
        """All that it holds."""
        return self.ask("GET", "state")

    def rows(self, table: str, **having: Any) -> list[dict[str, Any]]:
        """The rows of one table with these values, in order of arrival."""
        return [row for row in self.state()[table] if having.items() <= row.items()]

    def message_ids(self, table: str = "events") -> list[str]:
        """The messages that made the rows of a table, in order of arrival."""
        return [message for row in self.state()[table] for message in row["messageIds"]]

    def requests(self, message_id: str | None = None) -> list[dict[str, Any]]:
        """The newest calls, those with this messageId where one is named."""
        found = self.ask("GET", "requests")
        if message_id is None:
            return found
        return [call for call in found if message_id in (_id_in(call["body"]), call["headers"].get("x-message-id"))]

    def new_key(self, **options: Any) -> dict[str, Any]:
        """Another key."""
        return self.ask("POST", "keys", options)

    def revoke(self, key_id: str) -> None:
        """Take a key back for good."""
        self.ask("POST", f"keys/{key_id}/revoke")

    def disable(self, key_id: str) -> None:
        """Switch a key off."""
        self.ask("POST", f"keys/{key_id}/disable")

    def enable(self, key_id: str) -> None:
        """Switch a key on again."""
        self.ask("POST", f"keys/{key_id}/enable")

    def fault(self, **fault: Any) -> None:
        """Order a misbehaviour."""
        self.ask("POST", "faults", fault)

    def heal(self) -> None:
        """Forget every misbehaviour that is left."""
        self.ask("DELETE", "faults")


def _id_in(body: Any) -> str | None:
    return body.get("messageId") if isinstance(body, dict) else None
