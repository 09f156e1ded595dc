"""What only the engine on SQLite promises: sealed files, its states after a crash, damage, versions, upkeep."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from segue.core.errors import Damaged, OffsetExpired, Unavailable
from segue.log import Ends
from segue.log.message_index import index_path, list_indexes
from segue.log.segment import create_segment, list_segments, seal, segment_path
from segue.log.sqlite import SQLiteLogWriter
from segue.log.sqlite_reader import SQLiteLogReader

from .engines import SETTLE_SECONDS, SetClock, event, events

COUNT = 23
LIMITS = {"segment_records": 5}


@pytest.fixture
def crashed(tmp_path: Path) -> Iterator[Path]:
    """The folder of a log of 23 records in five segments as a killed writer leaves it, all upkeep done."""
    folder = tmp_path / "crashed"
    with closing(SQLiteLogWriter(tmp_path / "alive", SetClock(), **LIMITS)) as writer:
        for number in range(COUNT):
            writer.append([event(number)])
        assert writer.settle(SETTLE_SECONDS)
        shutil.copytree(tmp_path / "alive", folder)
    assert list_segments(folder) == [0, 5, 10, 15, 20]
    yield folder


def unsealed(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def as_killed(folder: Path) -> None:
    assert segment_path(folder, 20).with_suffix(".db-wal").stat().st_size > 0


def a_new_segment_was_being_made(folder: Path) -> None:
    for suffix in (".new", ".new-wal", ".new-shm", ".new-journal"):
        segment_path(folder, COUNT).with_suffix(suffix).write_bytes(b"half")


def a_new_segment_was_made(folder: Path) -> None:
    create_segment(folder, COUNT, {"website": (COUNT, 0)})


def the_last_was_checkpointed(folder: Path) -> None:
    a_new_segment_was_made(folder)
    with closing(sqlite3.connect(segment_path(folder, 20))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def the_last_was_sealed_but_not_indexed(folder: Path) -> None:
    a_new_segment_was_made(folder)
    assert seal(segment_path(folder, 20))


def the_header_was_being_changed(folder: Path) -> None:
    """A hot journal: pages written into the file, the journal not yet removed."""
    path = segment_path(folder, 15)
    image = folder / "image"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE record SET body = zeroblob(60000)")
        image.mkdir()
        for name in (path.name, f"{path.name}-journal"):
            shutil.copy(folder / name, image / name)
        connection.execute("ROLLBACK")
    assert (image / path.name).read_bytes() != path.read_bytes()
    for copy in image.iterdir():
        copy.replace(folder / copy.name)
    image.rmdir()


def a_segment_is_not_sealed(folder: Path) -> None:
    unsealed(segment_path(folder, 5))


def there_is_no_index(folder: Path) -> None:
    for span in list_indexes(folder):
        index_path(folder, *span).unlink()


def an_index_was_being_written(folder: Path) -> None:
    there_is_no_index(folder)
    index_path(folder, 0, 5).with_suffix(".unfinished").write_bytes(b"half")


def an_index_is_cut_short(folder: Path) -> None:
    path = index_path(folder, *list_indexes(folder)[0])
    path.write_bytes(path.read_bytes()[:-9])


def an_index_has_a_bad_header(folder: Path) -> None:
    path = index_path(folder, *list_indexes(folder)[0])
    path.write_bytes(b"\0" * 64 + path.read_bytes()[64:])


def an_index_has_a_bad_entry(folder: Path) -> None:
    path = index_path(folder, *list_indexes(folder)[0])
    path.write_bytes(path.read_bytes()[:64] + b"\0" * 8 + path.read_bytes()[72:])


def merged_indexes_were_not_removed(folder: Path) -> None:
    parts = folder.parent / "parts"
    with closing(SQLiteLogWriter(parts, SetClock(), segment_records=5)) as writer:
        for number in range(6):
            writer.append([event(number)])
        assert writer.settle(SETTLE_SECONDS)
        shutil.copy(index_path(parts, 0, 5), index_path(folder, 0, 5))


STATES = [
    as_killed, a_new_segment_was_being_made, a_new_segment_was_made, the_last_was_checkpointed,
    the_last_was_sealed_but_not_indexed, the_header_was_being_changed, a_segment_is_not_sealed, there_is_no_index,
    an_index_was_being_written, an_index_is_cut_short, an_index_has_a_bad_header, an_index_has_a_bad_entry,
    merged_indexes_were_not_removed,
]  # fmt: skip


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_a_log_recovers_from_a_crash_between_any_two_steps(crashed: Path, state: Callable[[Path], None]) -> None:
    state(crashed)
    with closing(SQLiteLogReader(crashed)) as early:
        assert [record.message_id for record in early.find("m11", ["website"])] == ["m11"]
        with closing(SQLiteLogWriter(crashed, SetClock(), **LIMITS)) as writer:
            assert writer.settle(SETTLE_SECONDS)
            assert writer.ends() == early.ends() == Ends(COUNT, {"website": (COUNT, 0)})
            assert writer.append(events(0, COUNT + 1)) == [*[None] * COUNT, COUNT]
            assert [record.message_id for record in early.read(0, 0, 99)] == [f"m{n}" for n in range(COUNT + 1)]
            assert writer.settle(SETTLE_SECONDS)
            assert writer.trouble is None
            check_files(crashed)
    with closing(SQLiteLogWriter(crashed, SetClock(), **LIMITS)) as writer:
        assert writer.append(events(0, COUNT + 2)) == [*[None] * (COUNT + 1), COUNT + 1]


def check_files(folder: Path) -> None:
    """Every segment but the newest is sealed, every one is indexed once, and nothing else lies about."""
    firsts = list_segments(folder)
    for first in firsts[:-1]:
        path = segment_path(folder, first)
        assert not list(folder.glob(f"{path.name}-*"))
        assert path.read_bytes()[18:20] == b"\1\1", f"{path.name} is still in WAL mode"
    spans = list_indexes(folder)
    assert [span[0] for span in spans] == [0, *(span[1] for span in spans[:-1])]
    assert spans[-1][1] == firsts[-1]
    assert {path.suffix for path in folder.iterdir()} <= {".db", ".db-wal", ".db-shm", ".index", ".lock"}


def test_what_a_dropped_segment_left_is_cleared(crashed: Path) -> None:
    segment_path(crashed, 0).unlink()
    for sidecar in ("wal", "shm"):
        segment_path(crashed, 0).with_suffix(f".db-{sidecar}").write_bytes(b"left")
    with closing(SQLiteLogWriter(crashed, SetClock(), **LIMITS)) as writer, closing(SQLiteLogReader(crashed)) as reader:
        assert not list(crashed.glob(f"{0:020d}.db*"))
        assert writer.append([event(1), event(7)]) == [COUNT, None]
        with pytest.raises(OffsetExpired):
            reader.read(0, 0, 1)


def test_a_missing_segment_is_damage_and_no_silence(crashed: Path) -> None:
    segment_path(crashed, 10).unlink()
    with closing(SQLiteLogReader(crashed)) as reader, pytest.raises(Damaged, match="from 10 to 15"):
        reader.read(0, 7, 99)


def test_another_format_version_is_refused_by_name(crashed: Path) -> None:
    for first in (5, 20):
        with closing(sqlite3.connect(segment_path(crashed, first))) as connection:
            connection.execute("PRAGMA user_version = 9")
    with closing(SQLiteLogReader(crashed)) as reader, pytest.raises(Damaged, match=r"version 9.*version 1"):
        reader.read(0, 5, 1)
    with pytest.raises(Damaged, match=r"version 9.*version 1"):
        SQLiteLogWriter(crashed, SetClock(), **LIMITS)


def test_a_file_that_is_no_database_is_damage(crashed: Path) -> None:
    segment_path(crashed, 5).write_bytes(b"no database" * 1000)
    with closing(SQLiteLogReader(crashed)) as reader, pytest.raises(Damaged):
        reader.read(0, 5, 1)


def test_an_idle_reader_delays_sealing_but_neither_indexing_nor_dropping(tmp_path: Path) -> None:
    with closing(SQLiteLogWriter(tmp_path, SetClock(), **LIMITS)) as writer, closing(SQLiteLogReader(tmp_path)) as idle:
        writer.append([event(0)])
        assert idle.end(0) == 1
        for number in range(1, 12):
            writer.append([event(number)])
        assert writer.settle(SETTLE_SECONDS)
        assert segment_path(tmp_path, 0).read_bytes()[18:20] == b"\2\2"
        assert list_indexes(tmp_path)[-1][1] == 10
        assert idle.end(0) == 12
        assert writer.settle(SETTLE_SECONDS)
        assert segment_path(tmp_path, 0).read_bytes()[18:20] == b"\1\1"
    with closing(SQLiteLogWriter(tmp_path, SetClock(), **LIMITS)) as writer, closing(SQLiteLogReader(tmp_path)) as idle:
        assert idle.end(0) == 12
        for number in range(12, 20):
            writer.append([event(number)])
        assert writer.settle(SETTLE_SECONDS)
        while writer.drop_oldest():
            pass
        assert idle.start(0) == 15
        assert [record.offset for record in idle.read(0, 15, 99)] == [15, 16, 17, 18, 19]


def test_the_wal_is_bounded_whatever_is_appended(tmp_path: Path) -> None:
    with closing(SQLiteLogWriter(tmp_path, SetClock())) as writer:
        for number in range(0, 20_000, 100):
            writer.append(events(number, number + 100, body=b"x" * 3000))
            if number % 1000 == 0:
                assert writer.settle(SETTLE_SECONDS)
        assert segment_path(tmp_path, 0).with_suffix(".db-wal").stat().st_size < 32 << 20
        assert segment_path(tmp_path, 0).stat().st_size > 40 << 20


def test_the_indexes_are_few_however_many_segments_there_are(tmp_path: Path) -> None:
    with closing(SQLiteLogWriter(tmp_path, SetClock(), segment_records=10)) as writer:
        for number in range(0, 1000, 10):
            writer.append(events(number, number + 10))
        assert writer.settle(SETTLE_SECONDS)
        assert len(list_segments(tmp_path)) == 100
        assert len(list_indexes(tmp_path)) <= 8
        writer.append(events(1000, 1010))
        assert writer.append(events(0, 1010)) == [None] * 1010


def test_a_failed_index_is_made_when_it_can_be(tmp_path: Path) -> None:
    with closing(SQLiteLogWriter(tmp_path, SetClock(), **LIMITS)) as writer:
        in_the_way = index_path(tmp_path, 0, 5).with_suffix(".unfinished")
        in_the_way.mkdir()
        for number in range(7):
            writer.append([event(number)])
        writer.settle(0)
        assert writer.append(events(0, 8)) == [*[None] * 7, 7]
        in_the_way.rmdir()
        assert writer.settle(SETTLE_SECONDS)
        assert list_indexes(tmp_path) == [(0, 5), (5, 7)]
        assert writer.trouble is None


def test_a_roll_that_fails_half_way_is_finished_before_the_next_write(tmp_path: Path) -> None:
    with closing(SQLiteLogWriter(tmp_path, SetClock(), **LIMITS)) as writer:
        writer.append(events(0, 5))
        in_the_way = segment_path(tmp_path, 5).with_suffix(".new")
        (in_the_way / "inside").mkdir(parents=True)
        with pytest.raises(Unavailable):
            writer.append(events(5, 7))
        (in_the_way / "inside").rmdir()
        in_the_way.rmdir()
        assert writer.append(events(5, 7)) == [5, 6]
        assert list_segments(tmp_path) == [0, 5]


def test_readers_and_backups_see_an_unbroken_log_while_it_rolls_and_drops(tmp_path: Path) -> None:
    """Every read is a run without gaps, whatever happens meanwhile in other threads."""
    folder = tmp_path / "log"
    writer = SQLiteLogWriter(folder, SetClock(), segment_records=20)
    done = threading.Event()
    errors: list[BaseException] = []

    def read_on() -> None:
        with closing(SQLiteLogReader(folder)) as reader:
            offset = 0
            while not (done.is_set() and offset == reader.end(0)):
                try:
                    records = reader.read(0, offset, 50)
                except OffsetExpired as expired:
                    assert expired.start > offset
                    offset = expired.start
                    continue
                assert [record.offset for record in records] == list(range(offset, offset + len(records)))
                offset += len(records)

    def back_up() -> None:
        with closing(SQLiteLogReader(folder)) as reader:
            for number in range(8):
                ends = reader.backup_to(tmp_path / f"copy{number}")
                with closing(SQLiteLogReader(tmp_path / f"copy{number}")) as copy:
                    start = copy.start(0)
                    records = copy.read(0, start, 99_999)
                assert [record.offset for record in records] == list(range(start, ends.offset))
                assert ends.sources.get("website", (0, 0))[0] == ends.offset

    def guarded(act: Callable[[], None]) -> None:
        try:
            act()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(act,)) for act in (read_on, read_on, back_up)]
    for thread in threads:
        thread.start()
    for number in range(0, 1500, 5):
        writer.append(events(number, number + 5))
        if number % 100 == 0:
            writer.drop_passed(number - 100)
    done.set()
    for thread in threads:
        thread.join()
    writer.close()
    assert errors == []
