from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from segue.collect.metrics import METRICS

from .rig import Rig, track


async def test_every_metric_of_the_table_is_exported_with_its_words(rig: Rig) -> None:
    await rig.batch(track(), track(userId=5))
    await rig.post("/v1/nothing", {})
    registry = CollectorRegistry()
    registry.register(rig.metrics)
    text = generate_latest(registry).decode()
    for name, meaning in METRICS.items():
        assert f"# HELP {name} {meaning}" in text
    assert 'segue_collect_requests_total{route="batch",status="200"} 1.0' in text
    assert 'segue_collect_requests_total{route="other",status="404"} 1.0' in text
    assert 'segue_collect_dropped_total{reason="id_not_string"} 1.0' in text
    assert 'segue_collect_events_total{outcome="accepted"} 1.0' in text
    assert {family.name for family in registry.collect()} == {name.removesuffix("_total") for name in METRICS}
