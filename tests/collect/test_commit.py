from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from segue.collect.commit import DUPLICATES_A_SECOND
from segue.collect.limits import CollectLimits
from segue.core.errors import Unavailable

from .rig import NOW, NOW_ISO, Faulty, Gate, Rig, track


async def turns(n: int = 5) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


async def test_what_arrives_during_a_commit_shares_the_next_one(tmp_path: Path) -> None:
    gates: list[Gate] = []
    rig = Rig(tmp_path, around_log=lambda log: gates.append(Gate(log)) or gates[0])  # type: ignore[arg-type, func-returns-value]
    first = asyncio.create_task(rig.post("/v1/track", track()))
    await asyncio.to_thread(gates[0].begun.wait, 10)
    others = [asyncio.create_task(rig.post("/v1/track", track())) for _ in range(7)]
    await turns()
    assert not first.done()
    gates[0].open.set()
    replies = await asyncio.gather(first, *others)
    assert {reply.status for reply in replies} == {200}
    assert gates[0].groups == [1, 7]
    assert rig.metrics.commits == 2
    await rig.aclose()


async def test_requests_of_one_turn_share_the_first_commit(rig: Rig) -> None:
    await asyncio.gather(*(rig.post("/v1/track", track()) for _ in range(20)))
    assert rig.metrics.commits == 1
    assert len(rig.events()) == 20


async def test_a_failed_commit_is_503_for_all_and_remembers_no_id(tmp_path: Path) -> None:
    logs: list[Faulty] = []
    rig = Rig(tmp_path, around_log=lambda log: logs.append(Faulty(log)) or logs[0])  # type: ignore[arg-type, func-returns-value]
    for error in (Unavailable("disk I/O error"), sqlite3.OperationalError("disk full"), RuntimeError("bug")):
        logs[0].error = error
        replies = await asyncio.gather(*(rig.post("/v1/track", track(messageId=f"m{i}")) for i in range(5)))
        assert {(reply.status, reply.json["code"]) for reply in replies} == {(503, "unavailable")}
        assert all(reply.headers["retry-after"] == "1" for reply in replies)
    assert rig.events() == []
    logs[0].error = None
    replies = await asyncio.gather(*(rig.post("/v1/track", track(messageId=f"m{i}")) for i in range(5)))
    assert {reply.status for reply in replies} == {200}
    assert rig.metrics.duplicates == 0 and len(rig.events()) == 5
    assert rig.metrics.failed_commits == 3
    assert rig.metrics.waiting_requests == rig.metrics.waiting_bytes == 0
    await rig.aclose()


async def test_drops_that_cannot_be_kept_are_503_and_the_others_of_the_group_are_not(rig: Rig) -> None:
    blocker = sqlite3.connect(rig.folder / "quarantine.db")
    blocker.execute("DROP TABLE dropped_count")
    blocker.execute("CREATE TABLE dropped_count (source TEXT NOT NULL, code TEXT, n INTEGER CHECK (n < 0))")
    blocker.commit()
    good, bad = await asyncio.gather(rig.batch(track()), rig.batch(track(), track(userId=5)))
    assert (good.status, bad.status) == (200, 503)
    assert rig.drops() == []
    blocker.close()


async def test_a_duplicate_is_kept_as_it_was_stamped_and_the_log_alone_counts_it(rig: Rig) -> None:
    await rig.batch(track(messageId="m1"), track(messageId="m2"))
    await rig.post("/v1/track", track(messageId="m1", event="Again"))
    await rig.post("/v1/track", track(messageId="m1"), key="sk")
    (kept,) = rig.quarantine.find_duplicates("m1")
    assert (kept.source, kept.received_at) == ("website", NOW)
    shown = json.loads(kept.body)
    assert (shown["event"], shown["receivedAt"]) == ("Again", NOW_ISO)
    assert rig.quarantine.find_duplicates("m2") == []
    assert rig.quarantine.counts() == {}
    assert rig.writer.ends().sources == {"website": (2, 1), "strict": (1, 0)}


async def test_a_storm_of_duplicates_keeps_so_many_a_second_the_newest_of_each_commit(rig: Rig) -> None:
    def kept(name: str) -> bool:
        return bool(rig.quarantine.find_duplicates(name))

    ids = [f"m{n}" for n in range(DUPLICATES_A_SECOND + 50)]
    events = [track(messageId=each) for each in ids]
    for part in (events, events, events):
        assert (await rig.batch(*part)).status == 200
    assert [kept(each) for each in ids] == [False] * 50 + [True] * DUPLICATES_A_SECOND
    assert len(rig.quarantine.find_duplicates(ids[-1])) == 1
    rig.clock.now += 1000
    await rig.batch(events[0])
    assert kept(ids[0])
    assert rig.metrics.duplicates == 2 * len(events) + 1


async def test_duplicates_that_cannot_be_kept_fail_no_request(rig: Rig) -> None:
    blocker = sqlite3.connect(rig.folder / "quarantine.db")
    blocker.execute("CREATE TRIGGER full BEFORE INSERT ON duplicate BEGIN SELECT raise(ABORT, 'no'); END")
    blocker.commit()
    blocker.close()
    await rig.post("/v1/track", track(messageId="m1"))
    with capture_logs() as lines:
        assert (await rig.post("/v1/track", track(messageId="m1"))).status == 200
    assert [line["event"] for line in lines] == ["duplicates not kept"]
    assert rig.metrics.failed_commits == 0 and rig.metrics.duplicates == 1
    assert (await rig.post("/v1/track", track(userId=5))).status == 200


async def test_waiting_requests_are_bounded_and_the_next_is_503_at_once(tmp_path: Path) -> None:
    gates: list[Gate] = []
    rig = Rig(
        tmp_path,
        limits=CollectLimits(waiting_requests=3),
        around_log=lambda log: gates.append(Gate(log)) or gates[0],  # type: ignore[arg-type, func-returns-value]
    )
    waiting = [asyncio.create_task(rig.post("/v1/track", track())) for _ in range(3)]
    await asyncio.to_thread(gates[0].begun.wait, 10)
    reply = await rig.post("/v1/track", track())
    assert (reply.status, reply.json["code"], reply.headers["retry-after"]) == (503, "overloaded", "1")
    gates[0].open.set()
    assert [reply.status for reply in await asyncio.gather(*waiting)] == [200] * 3
    assert (await rig.post("/v1/track", track())).status == 200
    await rig.aclose()


async def test_waiting_bytes_are_bounded(tmp_path: Path) -> None:
    gates: list[Gate] = []
    rig = Rig(
        tmp_path,
        limits=CollectLimits(waiting_bytes=1000),
        around_log=lambda log: gates.append(Gate(log)) or gates[0],  # type: ignore[arg-type, func-returns-value]
    )
    waiting = asyncio.create_task(rig.post("/v1/track", track(properties={"a": "x" * 2000})))
    await asyncio.to_thread(gates[0].begun.wait, 10)
    assert (await rig.post("/v1/track", track())).status == 503
    gates[0].open.set()
    assert (await waiting).status == 200
    await rig.aclose()


async def test_closing_waits_for_what_was_submitted(tmp_path: Path) -> None:
    gates: list[Gate] = []
    rig = Rig(tmp_path, around_log=lambda log: gates.append(Gate(log)) or gates[0])  # type: ignore[arg-type, func-returns-value]
    waiting = asyncio.create_task(rig.post("/v1/track", track()))
    await asyncio.to_thread(gates[0].begun.wait, 10)
    closing = asyncio.create_task(rig.committer.close())
    await turns()
    assert not closing.done()
    gates[0].open.set()
    await closing
    assert (await waiting).status == 200
    rig.close()


async def test_a_request_that_is_given_up_does_not_disturb_the_others(tmp_path: Path) -> None:
    gates: list[Gate] = []
    rig = Rig(tmp_path, around_log=lambda log: gates.append(Gate(log)) or gates[0])  # type: ignore[arg-type, func-returns-value]
    gone = asyncio.create_task(rig.post("/v1/track", track()))
    kept = asyncio.create_task(rig.post("/v1/track", track()))
    await asyncio.to_thread(gates[0].begun.wait, 10)
    gone.cancel()
    gates[0].open.set()
    assert (await kept).status == 200
    with pytest.raises(asyncio.CancelledError):
        await gone
    await rig.aclose()
