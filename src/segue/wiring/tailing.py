"""Following what comes in: accepted events from the log, dropped ones from the quarantine.

Rule: an accepted event is shown once, in the order of the log; the running server says when there is more.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from segue.control.poke import SOCKET
from segue.core.clock import iso
from segue.core.errors import Invalid, OffsetExpired, Unavailable
from segue.core.event import Event, Record
from segue.state.quarantine import Drop
from segue.wiring.texts import Entry
from segue.wiring.views import Views

READ_AT_ONCE = 500
LOOK_BACK = 100_000
"""How many of the newest records are searched for those of one source."""

LOOK_FOR_DROPS_S = 1.0
GROWN, REFUSED = b'"grown"', b'"error"'
"""What the server's lines hold: there is more to read, or it does not serve us."""


@dataclass
class Position:
    """How far one has read: the log's next offset, and how many drops there were; of one source, or of all."""

    offset: int
    dropped: int
    source: str | None = None
    entries: list[Entry] = field(default_factory=list)


def newest(views: Views, count: int, source: str | None = None) -> Position:
    """The last `count` accepted and dropped events by time, of one source or of all, and where to go on."""
    end = views.log.end(0)
    dropped = _drops_ever(views, source)
    entries: list[Entry] = []
    if count:
        drops = [drop_entry(drop) for drop in reversed(views.quarantine.newest(source, count))]
        entries = sorted([*_last_accepted(views, end, count, source), *drops], key=lambda entry: entry.at)[-count:]
    return Position(offset=end, dropped=dropped, source=source, entries=entries)


def follow(views: Views, position: Position) -> Iterator[Entry]:
    """What is there, then what comes, until the server ends. Raises Invalid where none runs."""
    # Connected first: a server that ends after the first entry was shown has been followed.
    with _connected(views) as server:
        yield from position.entries
        server.settimeout(LOOK_FOR_DROPS_S)
        while said := _heard(server):
            if REFUSED in said:
                raise Unavailable(f"the server lets no more follow: {said.decode()}")
            yield from _more(views, position)
        yield from _more(views, position)  # what was committed last, without a word of it


def accepted(record: Record) -> Entry:
    """A record as a line."""
    event = Event(record.body)
    return Entry(
        at=iso(record.received_at),
        source=record.source,
        type=record.type,
        name=event.event or event.name or "",
        who=record.user_key,
        message_id=record.message_id,
        body=record.body,
    )


def drop_entry(drop: Drop) -> Entry:
    """A dropped event as a line; what cannot be read of it stays empty."""
    return Entry(
        at=iso(drop.received_at),
        source=drop.source,
        type="",
        name="",
        who="",
        message_id=drop.message_id or "",
        body=drop.body,
        reason=drop.code,
    )


def _last_accepted(views: Views, end: int, count: int, source: str | None) -> list[Entry]:
    """The newest records before `end`, the oldest first; those of one source are looked for in so much of the log."""
    found: deque[Entry] = deque()
    least = max(views.log.start(0), end - (count if source is None else LOOK_BACK))
    while end > least and len(found) < count:
        begin = max(least, end - READ_AT_ONCE)
        try:
            records = views.log.read(0, begin, end - begin)
        except OffsetExpired:
            break  # retention has come as far as this meanwhile
        own = [record for record in records if source is None or record.source == source]
        found.extendleft(accepted(record) for record in reversed(own[-(count - len(found)) :]))
        end = begin
    return list(found)


def _more(views: Views, position: Position) -> Iterator[Entry]:
    source = position.source
    while True:
        try:
            records = views.log.read(0, position.offset, READ_AT_ONCE)
        except OffsetExpired as expired:
            position.offset = expired.start
            continue
        if not records:
            break
        position.offset = records[-1].offset + 1
        yield from (accepted(record) for record in records if source is None or record.source == source)
    dropped = _drops_ever(views, source)
    if dropped > position.dropped:
        fresh = views.quarantine.newest(source, min(dropped - position.dropped, READ_AT_ONCE))
        position.dropped = dropped
        yield from (drop_entry(drop) for drop in reversed(fresh))


def _drops_ever(views: Views, source: str | None) -> int:
    counts = views.quarantine.counts()
    return sum(n for slug, codes in counts.items() if source in (None, slug) for n in codes.values())


def _heard(server: socket.socket) -> bytes:
    """What the server says next, that there may be more where it says nothing; empty when it has ended."""
    try:
        return server.recv(4_096)
    except TimeoutError:
        return GROWN
    except ConnectionError:
        return b""  # it ended without a word, as one that is killed does


def _connected(views: Views) -> socket.socket:
    directory = os.open(views.instance.folder, os.O_RDONLY | os.O_DIRECTORY)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        server.connect(f"/proc/self/fd/{directory}/{SOCKET}")
    except (FileNotFoundError, ConnectionRefusedError):
        server.close()
        raise Invalid(
            "no Segue runs on this folder, so nothing more will come; --no-follow shows what there is", field="--data"
        ) from None
    finally:
        os.close(directory)
    with suppress(ConnectionError):  # a server that has ended meanwhile is heard to have
        server.sendall(msgspec.json.encode({"do": "follow"}) + b"\n")
    return server
