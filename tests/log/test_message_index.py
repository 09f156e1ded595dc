"""Index files: no id is ever missed, whatever is merged; few are suspected for nothing; damage is noticed."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.core.errors import Damaged
from segue.log.message_index import SPAN_MAX, MessageIndex, merge_indexes, write_index
from segue.log.message_indexes import MessageIndexes

KEYS = st.integers(0, 2**64 - 1) | st.integers(0, 7).map(lambda top: top << 61) | st.sampled_from([0, 2**64 - 1])


def nothing() -> None:
    pass


def written(folder: Path, keys: list[int], start: int, newest_ms: int = 1) -> MessageIndex:
    entries = [(key, offset) for offset, key in enumerate(keys, start)]
    return write_index(
        folder,
        start=start,
        end=start + len(keys),
        newest_ms=newest_ms,
        entries=entries,
        count=len(keys),
        breathe=nothing,
    )


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(st.lists(KEYS, min_size=1, max_size=40), min_size=1, max_size=5),
    start=st.sampled_from([0, 5, SPAN_MAX - 30, 7 * SPAN_MAX - 3]),
    others=st.lists(KEYS, max_size=20),
)
def test_every_id_is_found_at_its_offsets(parts: list[list[int]], start: int, others: list[int]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        merged, at = written(folder, parts[0], start), start + len(parts[0])
        for part in parts[1:]:
            merged, at = merge_indexes(folder, merged, written(folder, part, at), nothing), at + len(part)
        keys = [key for part in parts for key in part]
        reopened = MessageIndex(merged.path)
        assert (reopened.start, reopened.end, reopened.count) == (start, at, len(keys))
        assert reopened.verify(nothing)
        for key in keys + others:
            alike = {(key, offset) for offset, other in enumerate(keys, start) if other >> 24 == key >> 24}
            assert set(reopened.candidates([key])) == alike


def test_many_ids_are_found_and_few_others_suspected(tmp_path: Path) -> None:
    random_bits = random.Random(7).getrandbits
    keys = [random_bits(64) for _ in range(20_000)]
    left, right = written(tmp_path, keys[:9_000], 0), written(tmp_path, keys[9_000:], 9_000, newest_ms=8)
    index = merge_indexes(tmp_path, left, right, nothing)
    assert index.newest_ms == 8
    assert index.candidates(keys) == [(key, offset) for offset, key in enumerate(keys)]
    assert index.candidates([random_bits(64) for _ in range(20_000)]) == []


@pytest.mark.parametrize("place", [8, 70, -1])
def test_a_changed_byte_is_noticed(tmp_path: Path, place: int) -> None:
    path = written(tmp_path, list(range(1 << 40, 1 << 45, 1 << 40)), 0).path
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    try:
        sound = MessageIndex(path).verify(nothing)
    except Damaged:
        sound = False
    assert not sound


def test_an_empty_or_misnamed_file_is_damage(tmp_path: Path) -> None:
    path = written(tmp_path, [1, 2], 0).path
    path.rename(path.with_name(f"{0:020d}-{9:020d}.index"))
    with pytest.raises(Damaged):
        MessageIndex(path.with_name(f"{0:020d}-{9:020d}.index"))
    path.write_bytes(b"")
    with pytest.raises(Damaged):
        MessageIndex(path)


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(1, 30), max_size=60))
def test_merging_leaves_few_files_that_cover_everything(sizes: list[int]) -> None:
    with tempfile.TemporaryDirectory() as name:
        indexes, at = MessageIndexes(Path(name)), 0
        for size in sizes:
            entries = [((at + number) << 30, at + number) for number in range(size)]
            indexes.add(start=at, end=at + size, newest_ms=at, entries=entries, count=size, breathe=nothing)
            at += size
            while (pair := indexes.next_merge()) is not None:
                indexes.merge(*pair, nothing)
            assert len(indexes.files) <= 2 + 2 * at.bit_length()
        keys = [number << 30 for number in range(at)]
        wanted = sorted(enumerate(keys), key=lambda pair: pair[0])
        assert sorted(indexes.candidates(keys, since_ms=-1)) == [(key, offset) for offset, key in wanted]
        assert [file.path for file in MessageIndexes(Path(name)).files] == [file.path for file in indexes.files]


def test_files_older_than_the_window_are_not_asked(tmp_path: Path) -> None:
    indexes = MessageIndexes(tmp_path)
    indexes.add(start=0, end=1, newest_ms=10, entries=[(77, 0)], count=1, breathe=nothing)
    assert indexes.candidates([77], since_ms=9) == [(77, 0)]
    assert indexes.candidates([77], since_ms=10) == []
    indexes.drop_below(1)
    assert indexes.files == ()
    assert list(tmp_path.iterdir()) == []
