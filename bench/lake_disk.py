"""The disk that an event takes in a space's lake, of its JSON.

Rule: the events are those of a shop's visitors; the lake's own writer lays them down in pieces as they would come, and
makes few files of them once their days are over.
"""

from __future__ import annotations

from contextlib import closing

from bench.children import Failed
from bench.measure import Extent, tell
from bench.report import Row
from bench.traffic import Traffic
from segue.core.event import Event, Record
from segue.lake.manifest import Manifest
from segue.lake.rows import Entry
from segue.lake.writer import DAY_IS_OVER_MS, LakeWriter
from segue.state.profile_rows import Placed

EVENTS = 100_000
PROFILES = 20_000
AT_ONCE = 5_000
DAY_MS = 86_400_000
START_MS = 1_790_000_000_000 // DAY_MS * DAY_MS
SHARE_MOST = 0.25


def measure(extent: Extent) -> list[Row]:
    """The row `lake-disk`: one day of events."""
    events, traffic, json_bytes = extent.count(EVENTS), Traffic(PROFILES), 0
    numbers: dict[str, int] = {}
    every_ms = (DAY_MS - DAY_IS_OVER_MS) / events
    with extent.folder() as folder:
        writer = LakeWriter(folder)
        for first in range(0, events, AT_ONCE):
            entries = []
            at = START_MS + int(first * every_ms)
            for place, new in enumerate(traffic.records(min(AT_ONCE, events - first), at, every_ms)):
                offset = first + place
                at_ms = new.received_at
                ids = (new.type, new.user_key, new.message_id, None)
                record = Record(offset, at_ms, at_ms, new.source, offset + 1, *ids, new.body)
                number = numbers.setdefault(new.user_key, len(numbers) + 1)
                entries.append(Entry(record, Event(new.body), Placed(offset, number, 0, new.received_at - 40)))
                json_bytes += len(new.body)
            writer.write(entries, position=first + len(entries), breathe=_breathe)
        while writer.compact(START_MS + 2 * DAY_MS, _breathe):
            pass
        writer.sweep(START_MS + 9 * DAY_MS)
        writer.close()
        with closing(Manifest(folder)) as manifest:
            rows = sum(file.rows for file in manifest.files())
        if rows != events:
            raise Failed(f"the lake has {rows} of {events} events")
        taken = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    tell(f"  {taken / events:.0f} bytes an event of {json_bytes / events:.0f} bytes of JSON")
    detail = {"events": events, "bytes": taken, "json_bytes": json_bytes}
    return [
        Row(
            row="lake-disk",
            what="bytes of an event in the lake, over those of its JSON",
            value=taken / json_bytes,
            limit=SHARE_MOST,
            at_least=False,
            detail=detail,
        )
    ]


def _breathe() -> None:
    """Nobody waits."""
