"""What is read of a lake: the same as by looking at every event, in pages and however the files are cut."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.lake import reader as reading
from segue.lake.manifest import ManifestReader
from segue.lake.reader import Order, Wish, event_of, events_of
from segue.lake.rows import PLACES_MOST
from tests.resolve.events import START_MS

from .rig import DAY_MS, Rig, applied

EVENT = st.tuples(
    st.sampled_from(["track", "track", "page", "identify"]),
    st.sampled_from(["A", "B", "Page Viewed", ""]),
    st.integers(1, 4),  # profile
    st.integers(0, 3),  # days before its receipt
    st.integers(0, 2),  # day of receipt
)
WISH = st.fixed_dictionaries(
    {
        "profiles": st.lists(st.integers(1, 5), min_size=1, max_size=3, unique=True),
        "types": st.sampled_from([("track",), ("track", "page", "identify"), ("identify",)]),
        "start": st.sampled_from([0, START_MS - DAY_MS, START_MS]),
        "end": st.sampled_from([reading.END_OF_TIME, START_MS + DAY_MS]),
        "include": st.none() | st.just(("A",)) | st.just(("B", "Page Viewed")),
        "exclude": st.just(()) | st.just(("A",)),
        "newest_first": st.booleans(),
        "limit": st.integers(1, 5),
    }
)


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch):
    monkeypatch.setattr(reading, "FILES_AT_ONCE", 2)


@settings(max_examples=60, deadline=None)
@given(st.lists(EVENT, min_size=1, max_size=30), st.integers(1, 10), WISH)
def test_page_after_page_it_is_what_looking_at_every_event_gives(tmp_path_factory, events, size, asked):
    entries = []
    for n, (type_, name, profile, late, day) in enumerate(events):
        times = {"received_at": START_MS + day * DAY_MS, "t": START_MS + (day - late) * DAY_MS}
        entries.append(applied(n, type_, event=name, profile=profile, **times))
    wish = Wish(**asked)
    expected = wish._replace(limit=100).sorted(each for each in map(event_of, entries) if wish.accepts(each))
    with closing(Rig(tmp_path_factory.mktemp("lake"))) as lake:
        for begin in range(0, len(entries), size):
            lake.write(*entries[begin : begin + size])
        found: list[Any] = []
        with closing(ManifestReader(lake.folder / "lake.db")) as manifest:
            for _ in range(len(expected) + 1):
                position, page = events_of(manifest, wish)
                assert position.offset == len(entries)
                found += page
                if len(page) < wish.limit:
                    break
                wish = wish._replace(after=page[-1].order)
    assert found == expected


def test_a_lake_without_files_needs_no_engine(lake: Rig, monkeypatch):
    monkeypatch.setattr(reading, "engine", None)
    lake.writer.write([], position=3, breathe=lambda: None)
    with closing(ManifestReader(lake.folder / "lake.db")) as manifest:
        assert events_of(manifest, Wish(profiles=(1,))) == ((3, 0), [])


def test_a_reader_of_the_manifest_of_before_still_finds_its_files(lake: Rig, monkeypatch):
    for n in range(8):
        lake.write(applied(n, event="E"))
    with closing(ManifestReader(lake.folder / "lake.db")) as manifest:
        before = manifest.files()
        assert lake.writer.compact(START_MS, lambda: None)
        monkeypatch.setattr(manifest, "files", lambda: before)
        assert len(events_of(manifest, Wish(profiles=(1,)))[1]) == 8


def test_rare_names_beyond_the_bound_share_a_file_and_are_found(lake: Rig):
    names = [f"E{n}" for n in range(PLACES_MOST + 20)]
    lake.write(*(applied(n, event=name) for n, name in enumerate(["E7", *names])), applied(500, "identify"))
    files = lake.files()
    assert len(files) <= PLACES_MOST
    assert {file.event for file in files if file.rows > 1} == {"E7", None}
    assert len(lake.offsets()) == len(names) + 2
    with closing(ManifestReader(lake.folder / "lake.db")) as manifest:
        for name in ("E7", *names[-3:]):
            found = events_of(manifest, Wish(profiles=(1,), include=(name,), limit=9))[1]
            assert {event.event for event in found} == {name}
        assert len(events_of(manifest, Wish(profiles=(1,), limit=500))[1]) == len(names) + 1
        assert len(events_of(manifest, Wish(profiles=(1,), types=("identify",)))[1]) == 1


def test_two_sources_may_use_one_message_id_at_one_instant(lake: Rig):
    lake.write(
        *(applied(n, event="E", messageId="m", t=START_MS, received_at=START_MS, source=f"s{n}") for n in range(3))
    )
    with closing(ManifestReader(lake.folder / "lake.db")) as manifest:
        wish, found = Wish(profiles=(1,), limit=1, newest_first=False), []
        for _ in range(3):
            (event,) = events_of(manifest, wish)[1]
            found.append(event.source_id)
            wish = wish._replace(after=event.order)
    assert found == ["s0", "s1", "s2"]
    assert wish.after == Order(START_MS, START_MS, "m", 2)
