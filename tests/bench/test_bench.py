"""The parts of the benchmark that can be wrong without anybody noticing. Rule: nothing here measures time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec

from tests.bench.conftest import ROOT


def test_an_event_has_600_bytes() -> None:
    from bench.events import EVENT, EVENT_BYTES

    assert len(EVENT) == EVENT_BYTES == 600
    assert json.loads(EVENT)["type"] == "track"


def test_no_two_events_share_a_message_id() -> None:
    from bench.events import Template, batch_body

    template = Template(batch_body(20))
    events = [event for _ in range(50) for event in json.loads(template.fresh(12_345))["batch"]]
    assert len({event["messageId"] for event in events}) == 1000
    assert {event["properties"]["sentNs"] for event in events} == {f"{12_345:020d}"}
    assert all(event["userId"][-8:] == event["anonymousId"][-8:] for event in events)
    assert len({event["userId"] for event in events}) > 900


def test_a_record_for_a_filled_log_is_what_the_collector_would_keep() -> None:
    from bench.events import Records

    first, second = Records(1_700_000_000_000).fresh(2)
    body = msgspec.json.decode(first.body)
    assert first.message_id == body["messageId"] != second.message_id
    assert first.user_key == body["userId"]
    assert body["receivedAt"] == "2023-11-14T22:13:20.000Z"


def test_a_row_knows_whether_its_limit_is_a_least_or_a_most() -> None:
    from bench.report import Row, table

    rows = [
        Row(row="a", what="speed", value=0.5, limit=0.4),
        Row(row="b", what="size", value=0.5, limit=0.4, at_least=False),
        Row(row="c", what="shown", value=0.5),
    ]
    assert [row.met for row in rows] == [True, False, None]
    assert [line.count("NOT MET") for line in table(rows).splitlines()] == [0, 0, 0, 1, 0]


def test_the_machines_idle_time_is_nobodys_share() -> None:
    from bench.machine import Others, cpu_seconds, family

    others = Others()
    assert os.getpid() in family(os.getpid())
    assert cpu_seconds(os.getpid()) > 0
    assert others.share() >= 0


def test_an_unknown_row_is_wrong_usage() -> None:
    asked = subprocess.run([sys.executable, "-m", "bench", "nonsense"], cwd=ROOT, capture_output=True, text=True)
    assert asked.returncode == 2
    assert "there is no row nonsense" in asked.stderr


def test_a_measurement_has_a_folder_of_its_own_on_the_disk_that_is_named(tmp_path: Path) -> None:
    from bench.measure import Extent

    (tmp_path / "control.db").write_text("of an instance that is there")
    with Extent(data=tmp_path).folder() as made:
        assert made.parent == tmp_path
        (made / "control.db").write_text("of the benchmark's")
    assert [path.name for path in tmp_path.iterdir()] == ["control.db"]
