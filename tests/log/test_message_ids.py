"""Ids in memory: a hash that comes twice keeps both of its offsets."""

from __future__ import annotations

from segue.log.message_ids import MessageIds, message_keys


def test_a_key_depends_on_source_and_id_and_not_on_the_process() -> None:
    assert message_keys([("website", "m1"), ("website", "m2"), ("app", "m1")]) == [
        9641369298192262356,
        13294865671766195397,
        10185202880903842035,
    ]


def test_two_records_of_one_hash_are_both_candidates() -> None:
    ids = MessageIds()
    ids.add([5, 6], 0)
    ids.add([7, 5], 2)
    ids.add([8, 8], 4)
    assert sorted(ids.candidates([5, 8, 9])) == [(5, 0), (5, 3), (8, 4), (8, 5)]
    assert ids.candidates([9]) == []
    assert sorted(ids.entries()) == [(5, 0), (5, 3), (6, 1), (7, 2), (8, 4), (8, 5)]
    assert len(ids) == 6
