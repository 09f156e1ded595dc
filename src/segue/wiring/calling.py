"""Calling one destination by hand: `segue destinations test`.

Rule: the call is made as the worker would make it. Where a server runs, the server makes it, with its own environment
and for its own sandboxes; where none does, the call is made here, and what is printed says so.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import msgspec
from msgspec import Struct

from segue.control.destinations import masker, open_settings
from segue.control.poke import ask
from segue.control.secrets import Secrets
from segue.core.clock import Clock, iso
from segue.core.destination import Response
from segue.core.errors import Invalid, Unavailable
from segue.core.event import CALL_TYPES, Event
from segue.deliver.addresses import AddressPolicy, address_policy
from segue.deliver.attempt import DELIVERED, Attempt
from segue.deliver.history import Mask, attempt_shown
from segue.deliver.http import HttpClient
from segue.deliver.lanes import Item
from segue.destinations import catalog
from segue.settings import Settings
from segue.state.control import DestinationRow
from segue.wiring.clock import clock_of
from segue.wiring.instance import Instance
from segue.wiring.own_sandboxes import sandbox_of
from segue.wiring.sending import made_event, new_message_id
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

CALL_MOST_S = 60.0
BY_SERVER = "made by the running server, as it would deliver an event"
BY_US = "made from here, with the environment of this shell: no server runs"


class Called(Struct, frozen=True, kw_only=True):
    """A destination's answer to one call, as lines to read; `error` where no call could be made."""

    delivered: bool = False
    lines: tuple[str, ...] = ()
    reason: str = ""
    error: str = ""


async def call_destination(
    row: DestinationRow, secrets: Secrets, policy: AddressPolicy, who: str, clock: Clock
) -> Called:
    """Make one real call to the destination, enabled or not, with this process's environment.

    `who` says who makes it. Raises Invalid where its settings cannot be used, Unavailable where it does not end.
    """
    kind = catalog()[row.kind]
    opened = open_settings(row, secrets, os.environ)
    call_type = next(name for name in ("identify", "track", *CALL_TYPES) if name in kind.methods)
    now = iso(clock.now_ms())
    made = made_event(call_type, "segue-test", "Segue Test")
    stamps = {"messageId": new_message_id(), "timestamp": now, "originalTimestamp": now, "receivedAt": now}
    event = Event(json.dumps(made | stamps).encode())
    mask = masker(row, secrets, os.environ).mask
    attempt = await _attempt(kind.send(opened, event), event, mask, policy, clock)
    shown = attempt_shown(
        at=attempt.started_at,
        duration_ms=attempt.response.duration_ms,
        request=attempt.request,
        response=attempt.response,
        message=attempt.message,
        mask=attempt.mask,
    )
    lines = (f"one {call_type} call to {kind.name}, {who}", *_lines(shown, attempt))
    return Called(delivered=attempt.verdict is DELIVERED, lines=lines, reason=attempt.reason)


def called(instance: Instance, row: DestinationRow, secrets: Secrets, settings: Settings) -> Called:
    """The answer to one call, made by the running server or, where none runs, here. Raises as `call_destination`."""
    answer = ask(instance.folder, {"do": "test", "destination": row.slug}, CALL_MOST_S + 5)
    if answer is None:
        policy = address_policy(allow_internal=settings.allow_internal)
        call = call_destination(row, secrets, policy, BY_US, clock_of(instance))
        return _with_remedy(asyncio.run(call), row, instance)
    by_server = msgspec.convert(answer, Called)
    if by_server.error:
        raise Invalid(by_server.error)
    return _with_remedy(by_server, row, instance)


def _with_remedy(found: Called, row: DestinationRow, instance: Instance) -> Called:
    """The answer; where the address is that of own sandboxes that do not run, with what starts them."""
    address = instance.last_address()
    if found.reason != "ADDRESS_REFUSED" or address is None:
        return found
    url = sandbox_of(row.settings, address.known_sandboxes, os.environ)
    if url is None:
        return found
    *call, _ = found.lines
    start = f"start them with `{instance.start_line(url)}`"
    line = f"it is the address of this instance's sandboxes, which do not run now; {start}"
    return Called(lines=(*call, f"not delivered: {found.reason}", line), reason=found.reason)


async def _attempt(flow: Any, event: Event, mask: Mask, policy: AddressPolicy, clock: Clock) -> Attempt:
    network = HttpClient(policy)
    finished: asyncio.Future[Attempt] = asyncio.get_running_loop().create_future()
    item = Item(0, "", event.message_id, 0, (), event)
    try:
        Attempt([item], flow, mask, network, clock, finished.set_result).begin()
        return await asyncio.wait_for(finished, CALL_MOST_S)
    except TimeoutError:
        raise Unavailable(f"the call did not end within {CALL_MOST_S:.0f} s") from None
    finally:
        network.close()


def _lines(shown: dict[str, Any], attempt: Attempt) -> list[str]:
    request, lines = shown.get("request"), []
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
