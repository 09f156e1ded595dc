"""What a lake holds after whatever happened to its writer: the applied events below its cursor, each once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.core.errors import Unavailable
from segue.lake import writer as writing
from segue.lake.manifest import LakeFile
from segue.lake.writer import ROWS_MOST, files_to_merge
from segue.state.profile_rows import Placed

from .rig import DAY_MS, NOW_MS, Crash, Rig, applied, crashing, nothing

START = 1_800_000_000_000

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["A", "B/ü", ""]),
        st.sampled_from(["track", "track", "page", "identify", "group"]),
        st.integers(0, 3),  # days
        st.integers(1, 3),  # profile
        st.booleans(),  # applied
    ),
    min_size=1,
    max_size=40,
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "compact", "sweep", "restart"]),
        st.integers(1, 9),  # how many events
        st.none() | st.integers(0, 25),  # the breath that is the last
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(EVENTS, STEPS)
def test_every_applied_event_is_there_once_whatever_happens(tmp_path_factory, events, steps):
    log = [
        applied(n, type_, event=name, groupId="g", profile=profile, received_at=START + day * DAY_MS + n)
        for n, (name, type_, day, profile, _) in enumerate(events)
    ]
    taken = [entry for entry, (*_, is_applied) in zip(log, events, strict=True) if is_applied]
    lake = Rig(tmp_path_factory.mktemp("lake"))
    now = NOW_MS
    try:
        for step, count, end in steps:
            now += DAY_MS
            breathe = nothing if end is None else crashing(end)
            start = lake.writer.position.offset
            try:
                if step == "write":
                    upto = min(start + count, len(log))
                    some = [entry for entry in taken if start <= entry.record.offset < upto]
                    lake.writer.write(some, position=upto, breathe=breathe)
                elif step == "compact":
                    lake.writer.compact(now, breathe)
                elif step == "sweep":
                    lake.writer.sweep(now)
                else:
                    lake.restart()
            except Crash:
                lake.restart()
                assert lake.on_disk() == {file.path for file in lake.files()} | set(lake.writer._manifest.replaced())
            position = lake.writer.position.offset
            assert lake.offsets() == [entry.record.offset for entry in taken if entry.record.offset < position]
    finally:
        lake.close()
    shutil.rmtree(lake.folder)


def test_each_event_and_day_has_files_of_its_own(lake: Rig):
    lake.write(
        applied(0, event="Order Completed"),
        applied(1, event="Order Completed", received_at=START + DAY_MS),
        applied(2, "page", name="Home"),
        applied(3, "identify"),
    )
    assert [file.path for file in lake.files()] == [
        "events/@identify/2027-01-15/000000000003-000000000003.parquet",
        "events/Order%20Completed/2027-01-15/000000000000-000000000000.parquet",
        "events/Order%20Completed/2027-01-16/000000000001-000000000001.parquet",
        "events/Page%20Viewed/2027-01-15/000000000002-000000000002.parquet",
    ]


def test_a_file_is_sorted_by_profile_and_time(lake: Rig):
    lake.write(applied(0, profile=2), applied(1, profile=1, t=START - 5), applied(2, profile=1, t=START - 9))
    (file,) = lake.files()
    import duckdb

    with duckdb.connect() as connection:
        found = connection.execute("SELECT profile, log_offset FROM read_parquet(?)", [str(lake.folder / file.path)])
        assert found.fetchall() == [(1, 2), (1, 1), (2, 0)]
    assert (file.rows, file.first, file.last, file.profile_first, file.profile_last) == (3, 0, 2, 1, 2)
    assert (file.t_first, file.t_last) == (START - 9, START)
    assert file.bytes == (lake.folder / file.path).stat().st_size


def test_eight_small_files_become_one_with_the_columns_that_all_have(lake: Rig):
    for n in range(8):
        lake.write(applied(n, event="E", properties={"a": n, **({"b": 1} if n else {})}))
    before = lake.rows()
    assert lake.writer.compact(START, nothing)
    (file,) = lake.files()
    assert (file.properties, file.rows, file.first, file.last) == (("a",), 8, 0, 7)
    assert lake.rows() == before
    assert [value for (value,) in lake.rows("property.a")] == [str(n) for n in range(8)]
    assert not lake.writer.compact(START, nothing)


def test_the_files_of_a_day_that_is_over_become_one(lake: Rig):
    lake.write(applied(0, event="E"))
    lake.write(applied(1, event="E"))
    assert not lake.writer.compact(START, nothing)
    assert lake.writer.compact(START + 2 * DAY_MS, nothing)
    assert len(lake.files()) == 1
    lake.restart()
    assert not lake.writer.compact(START + 2 * DAY_MS, nothing)


def test_a_replaced_file_stays_for_its_readers_and_then_goes(lake: Rig):
    for n in range(8):
        lake.write(applied(n, event="E"))
    lake.writer.compact(START, nothing)
    lake.restart()
    lake.writer.sweep(START + writing.REPLACED_KEEP_MS)
    assert len(lake.on_disk()) == 9
    lake.writer.sweep(START + writing.REPLACED_KEEP_MS + 1)
    assert lake.on_disk() == {file.path for file in lake.files()}


def test_days_are_dropped_whole(lake: Rig):
    for day in range(3):
        lake.write(
            applied(2 * day, event="A", received_at=START + day * DAY_MS),
            applied(2 * day + 1, event="B", received_at=START + day * DAY_MS),
        )
    assert lake.writer.drop_days("2027-01-17", START) == 4
    assert lake.offsets() == [4, 5]
    assert lake.writer.position.offset == 6
    lake.writer.sweep(START + DAY_MS)
    lake.restart()
    assert len(lake.on_disk()) == 2
    assert lake.offsets() == [4, 5]


def test_what_does_not_reach_the_disk_is_told_and_may_be_tried_again(lake: Rig):
    (lake.folder / "events").write_text("in the way")
    with pytest.raises(Unavailable, match="lake"):
        lake.write(applied(0, event="E"))
    assert lake.writer.position.offset == 0
    (lake.folder / "events").unlink()
    lake.write(applied(0, event="E"))
    assert lake.offsets() == [0]


def test_events_that_the_log_has_lost_are_counted(lake: Rig):
    lake.writer.write([], position=5, expired=3, breathe=nothing)
    lake.writer.write([], position=7, expired=1, breathe=nothing)
    lake.restart()
    assert lake.writer.position == (7, 4)


def test_it_reads_and_writes_nothing_outside_its_folder(lake: Rig, tmp_path: Path):
    from segue.lake.engine import engine

    outside = tmp_path / "other.parquet"
    for statement in (
        f"COPY (SELECT 1) TO '{outside}'",
        "SELECT * FROM read_text('/etc/passwd')",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
    ):
        with pytest.raises(Unavailable), engine(lake.folder) as connection:
            connection.execute(statement)
    assert not outside.exists()


def file_of(first: int, rows: int) -> LakeFile:
    """A file that is asked about only."""
    return LakeFile("", "E", "E", "2027-01-15", rows, rows, first, first + rows - 1, 0, 0, 0, 0, 1, 1, ())


@settings(max_examples=200)
@given(
    st.lists(st.integers(1, ROWS_MOST + 10), max_size=30) | st.lists(st.integers(1, 20), max_size=100),
    st.booleans(),
)
def test_what_is_merged_follows_each_other_fits_and_ends(sizes, over):
    files = [file_of(n * ROWS_MOST * 2, size) for n, size in enumerate(sizes)]
    turns = 0
    while run := files_to_merge(files, over=over):
        at = files.index(run[0])
        assert files[at : at + len(run)] == run and len(run) >= 2
        assert sum(file.rows for file in run) <= ROWS_MOST
        files[at : at + len(run)] = [file_of(run[0].first, sum(file.rows for file in run))]
        turns += 1
    assert turns <= len(sizes)


def test_a_row_is_written_again_only_a_few_times():
    files: list[LakeFile] = []
    written = 0
    for n in range(4_096):
        files.append(file_of(n, 1))
        while run := files_to_merge(files, over=False):
            at = files.index(run[0])
            rows = sum(file.rows for file in run)
            written += rows
            files[at : at + len(run)] = [file_of(run[0].first, rows)]
    assert written <= 4_096 * 4
    assert len(files) <= 4 * 7


def test_what_is_packed_is_what_is_unpacked():
    from segue.state.resolutions import pack, unpack

    placed = [Placed(5, 1, 0, 1_000), Placed(9, 0, 2**40, 900), Placed(10**12, 3, 1, 2_000)]
    assert list(unpack(pack(placed))) == placed
