"""What every engine of the log must do: order, ordinals, deduplication, seek, retention, find, backup."""

from __future__ import annotations

from pathlib import Path

import pytest

from segue.core.errors import Held, Invalid, OffsetExpired, Unavailable
from segue.core.event import NewRecord, Record
from segue.log import Dropped, Ends

from .conftest import Log
from .engines import SETTLE_SECONDS, event, events

DAY_MS = 86_400_000


def ids(records: list[Record]) -> list[str]:
    return [record.message_id for record in records]


def test_an_empty_log_ends_where_it_starts(log: Log) -> None:
    writer = log.open()
    reader = log.reader()
    assert writer.append([]) == []
    assert reader.start(0) == reader.end(0) == 0
    assert writer.ends() == reader.ends() == Ends(0, {})
    assert reader.read(0, 0, 10) == []
    assert reader.seek(0, 0) == 0
    assert reader.find("m1", ["website"]) == reader.get([0]) == []


def test_a_reader_may_come_before_the_writer(log: Log) -> None:
    reader = log.reader()
    assert reader.start(0) == reader.end(0) == reader.seek(0, 0) == 0
    assert reader.read(0, 0, 10) == reader.find("m1", ["website"]) == reader.get([0]) == []
    assert reader.ends() == Ends(0, {})
    log.open().append(events(0, 3))
    assert ids(reader.read(0, 0, 10)) == ["m0", "m1", "m2"]


def test_records_read_back_whole(log: Log) -> None:
    body = '{"type":"track","ä":"\\u0000 \U0001f600"}'.encode() + bytes(range(256))
    new = NewRecord("shop", "identify", "a:7", "x" * 300, 1234, body, "3,17")
    log.clock.time_ms = 777
    assert log.open().append([new, event(1)]) == [0, 1]
    first, second = log.reader().read(0, 0, 10)
    assert first == Record(0, 1234, 777, "shop", 1, "identify", "a:7", "x" * 300, "3,17", body)
    assert second.destinations is None
    assert type(first) is Record


def test_offsets_are_one_order_and_ordinals_count_within_a_source(log: Log) -> None:
    writer = log.open(segment_records=3)
    sources = ["a", "b", "a", "a", "b", "c", "a"]
    for number, source in enumerate(sources):
        assert writer.append([event(number, source=source)]) == [number]
    records = log.reader().read(0, 0, 100)
    assert [record.offset for record in records] == list(range(7))
    assert [(record.source, record.ordinal) for record in records] == [
        ("a", 1), ("b", 1), ("a", 2), ("a", 3), ("b", 2), ("c", 1), ("a", 4),
    ]  # fmt: skip
    assert writer.ends() == log.reader().ends() == Ends(7, {"a": (4, 0), "b": (2, 0), "c": (1, 0)})


@pytest.mark.parametrize("size", [1, 2, 127, 128, 129, 200, 700])
def test_a_batch_of_any_size_is_appended_whole(log: Log, size: int) -> None:
    writer = log.open(segment_records=512)
    assert writer.append(events(0, size)) == list(range(size))
    assert writer.append(events(size, 2 * size)) == list(range(size, 2 * size))
    assert ids(log.reader().read(0, 0, 5000)) == [f"m{number}" for number in range(2 * size)]


def test_a_read_goes_on_over_the_end_of_a_segment(log: Log) -> None:
    writer = log.open(segment_records=4)
    for number in range(10):
        writer.append([event(number)])
    reader = log.reader()
    assert ids(reader.read(0, 2, 5)) == ["m2", "m3", "m4", "m5", "m6"]
    assert ids(reader.read(0, 9, 5)) == ["m9"]
    assert reader.read(0, 10, 5) == reader.read(0, 99, 5) == []


def test_a_segment_is_full_by_bytes_too(log: Log) -> None:
    writer = log.open(segment_bytes=1000)
    for number in range(6):
        writer.append([event(number, body=b"x" * 600)])
    assert writer.settle(SETTLE_SECONDS)
    assert writer.retain(passed=6, keep_ms=0, now_ms=log.clock.now_ms() + 1) == Dropped(0, 5)


def test_time_of_appending_never_goes_back(log: Log) -> None:
    writer = log.open(segment_records=2)
    for time_ms in (100, 90, 110):
        log.clock.time_ms = time_ms
        writer.append([event(time_ms)])
    log.clock.time_ms = 50
    writer = log.reopen(writer)
    writer.append([event(50)])
    assert [record.appended_at for record in log.reader().read(0, 0, 10)] == [100, 100, 110, 110]


def test_a_message_id_is_accepted_once_for_each_source(log: Log) -> None:
    writer = log.open()
    assert writer.append([event(1), event(1, source="app"), event(2)]) == [0, 1, 2]
    assert writer.append([event(2), event(3), event(1, source="app")]) == [None, 3, None]
    assert writer.ends() == log.reader().ends() == Ends(4, {"website": (3, 1), "app": (1, 1)})


def test_a_message_id_is_accepted_once_within_one_batch(log: Log) -> None:
    writer = log.open()
    assert writer.append([event(1), event(1), event(2), event(1)]) == [0, None, 1, None]
    assert writer.ends() == Ends(2, {"website": (2, 2)})


def test_a_batch_of_duplicates_only_is_counted(log: Log) -> None:
    writer = log.open()
    writer.append(events(0, 3))
    assert writer.append(events(0, 3)) == [None] * 3
    writer = log.reopen(writer)
    assert writer.ends() == log.reader().ends() == Ends(3, {"website": (3, 3)})


def test_names_that_join_to_the_same_text_are_not_duplicates(log: Log) -> None:
    assert log.open().append([event("x", source="am"), event("mx", source="a")]) == [0, 1]


@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize("restarted", [True, False])
def test_duplicates_are_known_across_segments_and_restarts(log: Log, settled: bool, restarted: bool) -> None:
    writer = log.open(segment_records=5)
    for number in range(0, 60, 4):
        writer.append(events(number, number + 4))
    if settled:
        assert writer.settle(SETTLE_SECONDS)
    if restarted:
        writer = log.reopen(writer)
    assert writer.append(events(0, 61)) == [*[None] * 60, 60]
    assert writer.ends() == Ends(61, {"website": (61, 60)})


@pytest.mark.parametrize("settled", [True, False])
def test_a_message_id_is_new_again_after_the_window(log: Log, settled: bool) -> None:
    writer = log.open(segment_records=2, dedup_window_ms=1000)
    start = log.clock.time_ms
    writer.append(events(0, 2))
    writer.append(events(2, 4))
    writer.append(events(4, 5))
    if settled:
        assert writer.settle(SETTLE_SECONDS)
    log.clock.time_ms = start + 999
    assert writer.append([event(0), event(4)]) == [None, None]
    log.clock.time_ms = start + 1000
    assert writer.append([event(0), event(4), event(0)]) == [5, 6, None]
    log.clock.time_ms = start + 1999
    assert writer.append([event(0), event(4), event(1)]) == [None, None, 7]
    writer = log.reopen(writer)
    assert writer.append([event(0), event(4), event(1)]) == [None, None, None]
    assert [record.offset for record in log.reader().find("m0", ["website"])] == [0, 5]


def test_seek_gives_the_first_offset_at_or_after_a_time(log: Log) -> None:
    writer = log.open(segment_records=3)
    times = [10, 10, 20, 20, 20, 30, 40, 40]
    for number, time_ms in enumerate(times):
        log.clock.time_ms = time_ms
        writer.append([event(number)])
    reader = log.reader()
    for time_ms in range(5, 46):
        wanted = next((offset for offset, at in enumerate(times) if at >= time_ms), 8)
        assert reader.seek(0, time_ms) == wanted


def test_find_gives_every_record_with_the_id_in_these_sources(log: Log) -> None:
    writer = log.open(segment_records=4)
    for number in range(10):
        writer.append([event(number, source="a"), event(number, source="b")])
    reader = log.reader()
    for _ in range(2):
        found = reader.find("m3", ["a", "b", "c"])
        assert [(record.offset, record.source, record.message_id) for record in found] == [
            (6, "a", "m3"),
            (7, "b", "m3"),
        ]
        assert [record.offset for record in reader.find("m9", ["b"])] == [19]
        assert reader.find("m77", ["a"]) == reader.find("m3", []) == []
        assert writer.settle(SETTLE_SECONDS)


def test_get_leaves_out_what_is_not_held(log: Log) -> None:
    writer = log.open(segment_records=2)
    reader = log.reader()
    for number in range(6):
        writer.append([event(number)])
    assert ids(reader.get([5, 0, 3, 3, 99])) == ["m5", "m0", "m3", "m3"]
    assert writer.settle(SETTLE_SECONDS)
    writer.drop_passed(6)
    assert ids(reader.get([5, 0, 3])) == ["m5", "m3"]


def test_ordinals_before_an_offset_are_those_of_its_predecessors(log: Log) -> None:
    writer = log.open(segment_records=3)
    sources = ["a", "b", "a", "a", "b", "c", "a", "c"]
    for number, source in enumerate(sources):
        writer.append([event(number, source=source)])
    reader = log.reader()
    for offset in range(9):
        before = {source: sources[:offset].count(source) for source in "abc"}
        found = reader.ordinals_before(offset)
        assert {source: found.get(source, 0) for source in "abc"} == before


def test_retention_takes_what_is_old_and_passed_by_all(log: Log) -> None:
    writer = log.open(segment_records=2)
    for number in range(8):
        log.clock.time_ms = 1000 * number
        writer.append([event(number)])
    assert writer.settle(SETTLE_SECONDS)
    reader = log.reader()
    assert writer.retain(passed=8, keep_ms=7000, now_ms=7000) is None
    assert writer.retain(passed=3, keep_ms=2000, now_ms=7000) == Dropped(0, 2)
    assert writer.retain(passed=4, keep_ms=2000, now_ms=7000) == Dropped(2, 4)
    assert writer.retain(passed=7, keep_ms=0, now_ms=9000) == Dropped(4, 6)
    assert writer.retain(passed=7, keep_ms=0, now_ms=9000) is None
    assert reader.start(0) == 6
    assert writer.ends() == reader.ends() == Ends(8, {"website": (8, 0)})
    assert ids(reader.read(0, 6, 10)) == ["m6", "m7"]
    assert reader.seek(0, 0) == 6


def test_retention_reaches_the_newest_records_of_a_quiet_log_too(log: Log) -> None:
    writer = log.open()
    writer.append([event(1), event(2)])
    begun = log.clock.now_ms()
    assert writer.retain(passed=2, keep_ms=7000, now_ms=begun + 999) is None
    assert writer.retain(passed=2, keep_ms=7000, now_ms=begun + 1000) is None
    assert writer.settle(SETTLE_SECONDS)
    assert writer.retain(passed=2, keep_ms=7000, now_ms=begun + 7000) == Dropped(0, 2)
    assert log.reader().start(0) == log.reader().end(0) == 2
    assert writer.append([event(3)]) == [2]
    assert writer.ends() == log.reader().ends() == Ends(3, {"website": (3, 0)})


def test_reading_below_the_start_says_that_it_expired(log: Log) -> None:
    writer = log.open(segment_records=2)
    for number in range(6):
        writer.append([event(number)])
    assert writer.settle(SETTLE_SECONDS)
    reader = log.reader()
    assert ids(reader.read(0, 0, 1)) == ["m0"]
    assert writer.drop_passed(6) == Dropped(0, 2)
    for other in (reader, log.reader()):
        for ask in (lambda r=other: r.read(0, 1, 10), lambda r=other: r.ordinals_before(1)):
            with pytest.raises(OffsetExpired) as expired:
                ask()
            assert expired.value.start == 2


def test_the_oldest_is_dropped_on_demand_but_never_the_newest(log: Log) -> None:
    writer = log.open(segment_records=2)
    for number in range(5):
        writer.append([event(number)])
    assert writer.settle(SETTLE_SECONDS)
    assert writer.drop_passed(1) is None
    assert writer.drop_oldest() == Dropped(0, 2)
    assert writer.drop_oldest() == Dropped(2, 4)
    assert writer.drop_oldest() is None
    assert writer.append([event(9)]) == [5]
    writer = log.reopen(writer)
    assert ids(log.reader().read(0, 4, 9)) == ["m4", "m9"]
    assert writer.append([event(4), event(0)]) == [None, 6]


def test_counts_outlive_the_records(log: Log) -> None:
    writer = log.open(segment_records=2)
    writer.append([event(0, source="old"), event(0, source="old")])
    for number in range(1, 6):
        writer.append([event(number)])
    assert writer.settle(SETTLE_SECONDS)
    while writer.drop_oldest():
        pass
    writer = log.reopen(writer)
    assert writer.ends().sources["old"] == (1, 1)
    assert writer.append([event(1, source="old")]) == [6]
    assert writer.ends().sources["old"] == (2, 1)


def test_a_second_writer_is_held_off_until_the_first_closes(log: Log) -> None:
    writer = log.open()
    with pytest.raises(Held):
        log.open()
    log.reopen(writer).append([event(1)])


def test_a_closed_writer_says_so(log: Log) -> None:
    writer = log.open()
    writer.close()
    writer.close()
    with pytest.raises(Unavailable):
        writer.append([event(1)])


def test_a_text_that_cannot_be_stored_leaves_the_log_as_it_was(log: Log) -> None:
    writer = log.open()
    writer.append([event(1)])
    with pytest.raises(UnicodeEncodeError):
        writer.append([event(2), event(3)._replace(user_key="\ud800")])
    assert writer.append([event(2), event(3)]) == [1, 2]
    assert log.reader().ends() == Ends(3, {"website": (3, 0)})


def test_a_backup_is_a_log_of_its_own(log: Log, tmp_path: Path) -> None:
    writer = log.open(segment_records=4)
    for number in range(10):
        writer.append([event(number)])
    assert writer.settle(SETTLE_SECONDS)
    assert log.reader().backup_to(tmp_path / "copy") == Ends(10, {"website": (10, 0)})
    writer.append(events(10, 20))
    copy = Log(log.engine, tmp_path / "copy", log.clock)
    copied = copy.open(segment_records=4)
    assert copied.append([event(0), event(9), event(50)]) == [None, None, 10]
    assert ids(copy.reader().read(0, 0, 99)) == [*(f"m{number}" for number in range(10)), "m50"]
    copy.close()
    with pytest.raises(Invalid):
        log.reader().backup_to(tmp_path / "copy")
    assert len(log.reader().read(0, 0, 99)) == 20
