"""The admin of a sandbox: what a tester asks of it, under `/{vendor}/_sandbox/`.

Rule: nothing here is part of a vendor's contract; a vendor's own admin actions are routes of its receiver.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import msgspec
from starlette.routing import BaseRoute

from segue.sandbox.faults import checked_fault
from segue.sandbox.frame import Answer, Call, refusal
from segue.sandbox.keys import MOVES, Key, KeyState, checked_key
from segue.sandbox.ledger import REQUESTS_MAX
from segue.sandbox.mount import Handler, Sandbox
from segue.sandbox.store import Rows


def admin_routes(sandbox: Sandbox) -> Sequence[BaseRoute]:
    """The routes that every sandbox has."""
    admin = _Admin(sandbox)
    moves = MOVES if sandbox.receiver.can_disable else {}
    return [
        sandbox.route("/_sandbox/state", admin.state),
        sandbox.route("/_sandbox/requests", admin.requests),
        sandbox.route("/_sandbox/reset", admin.reset, methods=["POST"]),
        sandbox.route("/_sandbox/keys", admin.keys),
        sandbox.route("/_sandbox/keys", admin.issue_key, methods=["POST"]),
        sandbox.route("/_sandbox/keys/{id}", admin.change_key, methods=["PATCH"]),
        sandbox.route("/_sandbox/keys/{id}/revoke", admin.revoke, methods=["POST"]),
        *(
            sandbox.route(f"/_sandbox/keys/{{id}}/{move}", admin.mover(*states), methods=["POST"])
            for move, states in moves.items()
        ),
        sandbox.route("/_sandbox/faults", admin.faults),
        sandbox.route("/_sandbox/faults", admin.order_fault, methods=["POST"]),
        sandbox.route("/_sandbox/faults", admin.cancel_faults, methods=["DELETE"]),
    ]


class _Admin:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def state(self, rows: Rows, call: Call) -> Answer:
        return Answer(body=self._sandbox.receiver.state(rows))

    def requests(self, rows: Rows, call: Call) -> Answer:
        limit = call.first("limit") or str(REQUESTS_MAX)
        if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= REQUESTS_MAX):
            return refusal(400, f"limit must be a number from 1 to {REQUESTS_MAX}")
        return Answer(body=[msgspec.Raw(request) for request in self._sandbox.ledger.newest(int(limit))])

    def reset(self, rows: Rows, call: Call) -> Answer:
        self._sandbox.reset(rows)
        return Answer()

    def keys(self, rows: Rows, call: Call) -> Answer:
        return Answer(body=[key.shown() for key in rows.issued_keys()])

    def issue_key(self, rows: Rows, call: Call) -> Answer:
        """A new key; or, where its text is that of a revoked one, that one again, with what its tenant holds."""
        given = dict(call.body)
        try:
            text = checked_key(given.pop("key", None) or f"sk_sandbox_{secrets.token_hex(16)}")
            former = rows.find_key(text)
            if former is not None and former.state != "revoked":
                return refusal(409, "There is already a key with this text")
            options = self._sandbox.receiver.new_key(given if former is None else {**former.options, **given})
        except ValueError as error:
            return refusal(400, str(error))
        key = Key(id=rows.new_id() if former is None else former.id, key=text, options=options)
        rows.put_key(key)
        return Answer(status=201, body={**key.shown(), "key": key.key})

    def change_key(self, rows: Rows, call: Call) -> Answer:
        key = _key(rows, call)
        if key is None:
            return refusal(404, "No key has this id")
        try:
            options = self._sandbox.receiver.new_key({**key.options, **call.body})
        except ValueError as error:
            return refusal(400, str(error))
        return _stored(rows, msgspec.structs.replace(key, options=options))

    def revoke(self, rows: Rows, call: Call) -> Answer:
        key = _key(rows, call)
        if key is None:
            return refusal(404, "No key has this id")
        return _stored(rows, msgspec.structs.replace(key, state="revoked"))

    def mover(self, origin: KeyState, goal: KeyState) -> Handler:
        def move(rows: Rows, call: Call) -> Answer:
            key = _key(rows, call)
            if key is None:
                return refusal(404, "No key has this id")
            if key.state not in (origin, goal):
                return refusal(409, f"The key is {key.state}")
            return _stored(rows, msgspec.structs.replace(key, state=goal))

        return move

    def faults(self, rows: Rows, call: Call) -> Answer:
        return Answer(body=self._sandbox.faults.left())

    def order_fault(self, rows: Rows, call: Call) -> Answer:
        try:
            fault = checked_fault(call.body)
            number = self._sandbox.faults.order(fault)
        except ValueError as error:
            return refusal(400, str(error))
        return Answer(status=201, body={"id": number, **msgspec.to_builtins(fault)})

    def cancel_faults(self, rows: Rows, call: Call) -> Answer:
        self._sandbox.faults.cancel()
        return Answer()


def _key(rows: Rows, call: Call) -> Key | None:
    return next((key for key in rows.issued_keys() if key.id == call.path["id"]), None)


def _stored(rows: Rows, key: Key) -> Answer:
    rows.put_key(key)
    return Answer(body=key.shown())
