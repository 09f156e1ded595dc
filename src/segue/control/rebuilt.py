"""Requests that were let go, made again from the event and the settings of their time. Pure.

Rule: what is made again says `"rebuilt": true`; and where an attempt was more than the one request that is shown, it
says that as well.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from segue.core.destination import Request, Response
from segue.core.event import Event
from segue.deliver.attempt import REQUESTS_MOST
from segue.deliver.history import request_shown
from segue.deliver.plan import Plan


def with_requests(attempt: dict[str, Any], event: Event, plan: Plan) -> dict[str, Any]:
    """The attempt with its request, made again where it was let go, and with the others that it made.

    `plan` is that of the attempt's time. What cannot be made with it is left out.
    """
    made = [
        request_shown(request, plan.mask) | {"rebuilt": True} for request in requests_of(event, plan, _answer(attempt))
    ]
    begun = {name: attempt[name] for name in ("at", "duration_ms")}
    if "request" in attempt:
        others = made[:-1]  # the last one is kept
    else:
        others = made[1:]
        begun |= {"request": made[0]} if made else {}
        if made and plan.batch_size > 1:
            begun["batch_size"] = plan.batch_size
    shown = begun | attempt
    if others:
        shown["other_requests"] = others
    return shown


def requests_of(event: Event, plan: Plan, answer: Response) -> list[Request]:
    """The requests of the event's flow where each is given this answer; none where it cannot be begun."""
    found: list[Request] = []
    if plan.stall:
        return found
    flow = plan.kind.send(plan.settings, event)
    with suppress(Exception):  # it has ended; or it breaks, which is what `explain` was asked to show
        request = next(flow)
        found.append(request)
        while (request.judge or 200 <= answer.status < 300) and len(found) < REQUESTS_MOST:
            request = flow.send(answer)
            found.append(request)
    with suppress(Exception):
        flow.close()
    return found


def _answer(attempt: dict[str, Any]) -> Response:
    """What is kept of the answers: one of them."""
    kept = attempt.get("response")
    if kept is None:
        return Response(status=0, error=str(attempt.get("error", "")))
    return Response(status=kept["status"], body=kept["body"].encode())
