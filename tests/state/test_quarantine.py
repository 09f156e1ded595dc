from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.core.errors import Damaged, Unavailable
from segue.state.quarantine import MIGRATIONS, Drop, Duplicate, Quarantine, QuarantineReader


def drop(n: int, source: str = "website", code: str = "id_not_string", size: int = 10) -> Drop:
    return Drop(source, code, 1000 + n, f"m{n}", b"x" * size)


def again(n: int, source: str = "website", size: int = 10) -> Duplicate:
    return Duplicate(source, 1000 + n, f"m{n}", b"y" * size)


def test_drops_are_read_back_with_their_counts(tmp_path: Path) -> None:
    drops = [drop(1), drop(2, code="type_unknown"), drop(3, source=""), Drop("website", "id_not_string", 4, None, b"")]
    with Quarantine(tmp_path / "q.db") as quarantine:
        quarantine.add(drops[:2])
        quarantine.add(drops[2:])
        assert quarantine.newest() == drops[::-1]
        assert quarantine.newest("website", 2) == [drops[3], drops[1]]
        assert quarantine.counts() == {"": {"id_not_string": 1}, "website": {"id_not_string": 2, "type_unknown": 1}}
        assert quarantine.find("m2") == [drops[1]]
        assert quarantine.find("m9") == []


def test_another_process_may_read_while_it_is_written(tmp_path: Path) -> None:
    with Quarantine(tmp_path / "q.db") as quarantine, QuarantineReader(tmp_path / "q.db") as reader:
        assert reader.counts() == {}
        quarantine.add([drop(1)])
        assert reader.newest() == reader.find("m1") == reader.newest("website") == [drop(1)]
        assert reader.counts() == quarantine.counts()


def test_the_newest_rows_of_each_source_stay_and_counts_are_never_cut(tmp_path: Path) -> None:
    with Quarantine(tmp_path / "q.db", rows_most=3) as quarantine:
        quarantine.add([drop(0, source="app")])
        quarantine.add([drop(n) for n in range(10)])
        quarantine.add([drop(10)])
        assert [row.message_id for row in quarantine.newest("website")] == ["m10", "m9", "m8"]
        assert len(quarantine.newest("app")) == 1
        assert quarantine.counts() == {"app": {"id_not_string": 1}, "website": {"id_not_string": 11}}


def test_the_bytes_of_each_source_are_bounded(tmp_path: Path) -> None:
    with Quarantine(tmp_path / "q.db", bytes_most=100, body_bytes_most=60) as quarantine:
        quarantine.add([drop(1, size=50), drop(2, size=500)])
        assert [(row.message_id, len(row.body)) for row in quarantine.newest()] == [("m2", 60)]
        quarantine.add([drop(3, size=40)])
        assert [row.message_id for row in quarantine.newest()] == ["m3", "m2"]


def test_duplicates_are_read_back_and_counted_by_nobody(tmp_path: Path) -> None:
    with Quarantine(tmp_path / "q.db") as quarantine, QuarantineReader(tmp_path / "q.db") as reader:
        quarantine.add([], [again(1), again(2), again(1, source="app")])
        quarantine.add([drop(1)], [again(1, size=20)])
        assert quarantine.find_duplicates("m1") == [again(1), again(1, source="app"), again(1, size=20)]
        assert reader.find_duplicates("m2") == [again(2)]
        assert reader.find_duplicates("m3") == []
        assert reader.find("m1") == [drop(1)] and reader.newest() == [drop(1)]
        assert reader.counts() == {"website": {"id_not_string": 1}}


def test_duplicates_push_out_no_drop_and_drops_no_duplicate(tmp_path: Path) -> None:
    with Quarantine(tmp_path / "q.db", rows_most=3) as quarantine:
        quarantine.add([drop(n) for n in range(3)], [again(n) for n in range(3)])
        quarantine.add([], [again(n) for n in range(10, 20)])
        assert quarantine.find("m0") == [drop(0)]
        assert quarantine.find_duplicates("m16") == [] and quarantine.find_duplicates("m17") == [again(17)]
        quarantine.add([drop(n) for n in range(10, 20)])
        assert quarantine.find("m0") == [] and quarantine.find_duplicates("m17") == [again(17)]


def test_the_duplicates_of_each_source_are_bounded_also_after_opening_again(tmp_path: Path) -> None:
    for n in range(5):
        with Quarantine(tmp_path / "q.db", rows_most=2) as quarantine:
            quarantine.add([], [again(n), again(n, source=f"source {n}")])
    with Quarantine(tmp_path / "q.db", bytes_most=100, body_bytes_most=60) as quarantine:
        assert [bool(quarantine.find_duplicates(f"m{n}")) for n in range(5)] == [True] * 5
        assert [len(quarantine.find_duplicates(f"m{n}")) for n in range(5)] == [1, 1, 1, 2, 2]
        quarantine.add([], [again(5, size=500), again(6, size=41)])
        assert quarantine.find_duplicates("m5") == [] and len(quarantine.find_duplicates("m6")) == 1


def test_a_quarantine_of_before_there_were_duplicates_is_taken_over(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "q.db")
    old.executescript(MIGRATIONS[0])
    old.execute("INSERT INTO dropped VALUES (1, 'website', 'id_not_string', 1001, 'm1', ?)", (drop(1).body,))
    old.execute("PRAGMA user_version = 1")
    old.commit()
    old.close()
    with Quarantine(tmp_path / "q.db") as quarantine:
        quarantine.add([], [again(1)])
        assert (quarantine.find("m1"), quarantine.find_duplicates("m1")) == ([drop(1)], [again(1)])


def test_drops_are_synced_and_duplicates_alone_are_not(tmp_path: Path) -> None:
    with Quarantine(tmp_path / "q.db") as quarantine:

        def synchronous() -> int:
            return int(quarantine._connection.execute("PRAGMA synchronous").fetchone()[0])

        for drops, level in (([], 1), ([drop(1)], 2), ([drop(2)], 2), ([], 1)):
            quarantine.add(drops, [again(1)])
            assert synchronous() == level


def test_a_message_id_is_cut_to_a_bounded_length(tmp_path: Path) -> None:
    with Quarantine(tmp_path / "q.db") as quarantine:
        quarantine.add([Drop("website", "message_id_invalid", 1, "x" * 5000, b"")])
        assert quarantine.newest()[0].message_id == "x" * 256


@given(st.lists(st.lists(st.tuples(st.sampled_from(["", "a", "b"]), st.integers(0, 40)), max_size=8), max_size=8))
@settings(max_examples=20, deadline=None)
def test_after_opening_again_the_bounds_and_counts_hold_on(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[str, int]]]
) -> None:
    path = tmp_path_factory.mktemp("q") / "q.db"
    sent: list[Drop] = []
    for batch in batches:
        with Quarantine(path, rows_most=4, bytes_most=100) as quarantine:
            drops = [drop(len(sent) + n, source=source, size=size) for n, (source, size) in enumerate(batch)]
            quarantine.add(drops)
            sent += drops
            for source in ("", "a", "b"):
                own = [it for it in sent if it.source == source]
                kept = own[-4:]
                while sum(len(it.body) for it in kept) > 100:
                    kept = kept[1:]
                assert quarantine.newest(source) == kept[::-1]
            found = {(source, code): n for source, codes in quarantine.counts().items() for code, n in codes.items()}
            assert found == Counter((it.source, it.code) for it in sent)


def test_a_failed_write_leaves_nothing_and_the_next_one_works(tmp_path: Path) -> None:
    with Quarantine(tmp_path / "q.db", rows_most=2) as quarantine:
        quarantine.add([drop(1), drop(2)])
        with pytest.raises(sqlite3.IntegrityError):
            quarantine.add([drop(3), Drop("website", None, 1, None, b"")])  # type: ignore[arg-type]
        assert quarantine.newest() == [drop(2), drop(1)]
        quarantine.add([drop(4)])
        assert quarantine.newest() == [drop(4), drop(2)]
        assert quarantine.counts() == {"website": {"id_not_string": 3}}


def test_a_file_that_is_locked_for_good_is_unavailable(tmp_path: Path) -> None:
    with Quarantine(tmp_path / "q.db") as quarantine:
        quarantine.add([drop(1)])
        quarantine._connection.execute("PRAGMA busy_timeout = 1")
        other = sqlite3.connect(tmp_path / "q.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable):
            quarantine.add([drop(2)])
        other.execute("ROLLBACK")
        other.close()
        quarantine.add([drop(3)])
        assert quarantine.newest() == [drop(3), drop(1)]


def test_what_is_no_database_is_named_as_damaged(tmp_path: Path) -> None:
    (tmp_path / "q.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(Damaged):
        Quarantine(tmp_path / "q.db")
    with pytest.raises(Unavailable):
        QuarantineReader(tmp_path / "none.db")
