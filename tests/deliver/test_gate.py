"""Further requests of a flow: each waits for its place in the pace, and none goes out while commits fail."""

from __future__ import annotations

from pathlib import Path

from segue.core.destination import Response
from segue.deliver.replay import Replay
from segue.destinations.webhook import destination as webhook
from segue.state.deliveries import ReplayState
from tests.deliver.rig import FINE, Rig
from tests.sim.kinds import STEPS, UNMAPPABLE


def three_urls() -> object:
    return webhook.settings(hooks=[f"https://vendor.example/{number}" for number in range(3)])


def paths(rig: Rig) -> list[str]:
    return [sent.request.url.rpartition("/")[2] for sent in rig.sent]


def test_further_requests_wait_for_the_pace_and_go_before_a_flow_that_has_not_begun(tmp_path: Path) -> None:
    rig = Rig(tmp_path, kind=STEPS, max_rate=5.0)
    rig.append("ann", "bob")
    rig.pump()
    starts = []
    while rig.state.delivered < 2:
        for sent in rig.sent:
            starts.append((rig.now, sent.request.method, *sent.offsets))
        assert len(rig.sent) <= 1
        rig.answer(FINE)
        rig.sent or rig.at is None or rig.wait_for_it()
    begin = starts[0][0]
    assert [(method, offset) for _, method, offset in starts] == [("PUT", 0), ("POST", 0), ("PUT", 1), ("POST", 1)]
    assert [at - begin for at, *_ in starts] == [0, 199, 399, 599]
    assert rig.state.retrying == 0
    rig.close()


def test_a_pause_that_the_vendor_asks_for_holds_further_requests_too(tmp_path: Path) -> None:
    rig = Rig(tmp_path, kind=STEPS)
    rig.append("ann", "bob")
    rig.pump()
    rig.answer(Response(status=429, retry_after_ms=9_000), 1)  # the first step looks at any answer, and tries again
    rig.answer(Response(status=429, retry_after_ms=9_000), 1)
    rig.answer(FINE, 0)
    assert not rig.sent
    assert rig.delivery.flying == 0, "nothing to wait for when the process ends"
    rig.wait(8_999)
    assert not rig.sent
    rig.wait(1)
    assert [(sent.request.method, sent.offsets) for sent in rig.sent] == [("POST", [0]), ("PUT", [1])]
    rig.close()


def test_no_further_request_goes_out_while_a_commit_fails(tmp_path: Path) -> None:
    rig = Rig(tmp_path, kind=webhook, settings=three_urls())
    rig.append("ann")
    rig.pump()
    rig.halted = True
    woken = rig.woken
    for sent in rig.sent:
        sent.done(FINE)
    rig.sent.clear()
    assert rig.woken > woken, "once a commit has succeeded it is pumped"
    rig.halted = False
    rig.pump()
    assert paths(rig) == ["1"]
    rig.answer(FINE)
    assert paths(rig) == ["2"], "without a limit and a failure nothing waits"
    rig.answer(FINE)
    assert rig.state.delivered == 1
    rig.close()


def test_further_requests_of_a_replay_keep_to_half_of_the_rate_and_hold_up_no_live_event(tmp_path: Path) -> None:
    rig = Rig(tmp_path, kind=webhook, settings=three_urls(), max_rate=10.0)
    rig.append(*(f"u{number}" for number in range(4)))
    rig.state.position = 4
    rig.delivery.start_replay(1, Replay(1, lambda event: True, ReplayState(position=0, end=4), rig.delivery._records))
    rig.append(*(f"v{number}" for number in range(4)))
    rig.pump()
    starts: list[tuple[int, bool]] = []
    while rig.state.delivered < 4:
        starts += [(rig.now, offset < 4) for sent in rig.sent for offset in sent.offsets]
        rig.answer(FINE)
        rig.sent or rig.wait_for_it()
    took = starts[-1][0] - starts[0][0]
    replayed = sum(1 for _, aside in starts if aside)
    assert len(starts) <= took / 100 + 2
    assert 0 < replayed <= took / 200 + 2
    rig.close()


def test_a_flow_that_makes_no_request_opens_the_gate_for_nobody(tmp_path: Path) -> None:
    rig = Rig(tmp_path, kind=STEPS, max_rate=5.0)
    rig.append("ann")
    rig.append("bob", name=UNMAPPABLE)
    rig.pump()
    rig.answer(FINE)
    assert not rig.sent
    rig.close()
