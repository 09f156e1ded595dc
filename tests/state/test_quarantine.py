from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.core.errors import Damaged, Unavailable
from segue.state.quarantine import Drop, Quarantine, QuarantineReader


def drop(n: int, source: str = "website", code: str = "id_not_string", size: int = 10) -> Drop:
    return Drop(source, code, 1000 + n, f"m{n}", b"x" * size)


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
