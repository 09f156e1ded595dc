"""What an instance measures of itself beside the collector: deliveries, profiles, lag, cursors, disk.

Rule: no label holds what a sender chose; series are bounded by sources, destinations, spaces and reason codes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector as PrometheusCollector

from segue.core.clock import Clock
from segue.state.deliveries import DestinationState
from segue.wiring.views import Views

METRICS: dict[str, str] = {
    "segue_accepted_total": "Events accepted, by source.",
    "segue_duplicates_total": "Events that came again within the deduplication window, by source.",
    "segue_dropped_total": "Events dropped by rule, by source and reason code; unknown keys have an empty source.",
    "segue_delivered_total": "Events delivered, by destination.",
    "segue_filtered_total": "Events filtered, by destination and reason code.",
    "segue_refused_total": "Events refused for good, by destination and reason code; a redrive takes them back.",
    "segue_retrying": "Events that wait for a retry or behind one, by destination.",
    "segue_lag": "Events without a final outcome or a retry row, by destination.",
    "segue_breaker_open": "1 while the destination's breaker is not closed.",
    "segue_cursor_standing_seconds": "How long the destination's cursor has stood while there is something to read.",
    "segue_profiles": "Profiles, by space and collection.",
    "segue_space_applied_total": "Events that reached a profile, by space.",
    "segue_space_skipped_total": "Events that reached no profile, by space and reason code.",
    "segue_space_lag": "Records of the log that the space has not read.",
    "segue_space_stalled": "1 while nothing is done for the space, or for its history: `segue status` says why.",
    "segue_lake_lag": "Records of the log that the space's lake has not passed; it may be a minute behind.",
    "segue_outbox_waiting": "Messages of the space that are not known to be in the log yet.",
    "segue_log_end_offset": "The offset that the next event gets.",
    "segue_disk_free_bytes": "Free space on the disk that holds the data folder.",
}
"""Every metric of the instance and what it means; the docs are made from this table."""


class InstanceMetrics(PrometheusCollector):
    """Read from the instance's files when Prometheus asks."""

    def __init__(self, views: Views, clock: Clock, free_bytes: Callable[[], int]) -> None:
        self._views = views
        self._clock = clock
        self._free_bytes = free_bytes

    def collect(self) -> Iterator[Metric]:
        """Every series at this moment."""
        shown = self._views.status()
        yield from _by_source(shown["sources"], self._views.quarantine.counts().get("", {}))
        yield from _by_destination(shown["destinations"])
        yield from _by_space(shown["spaces"])
        yield self._standing(shown["destinations"])
        yield _gauge("segue_log_end_offset", self._views.log.end(0))
        yield _gauge("segue_disk_free_bytes", self._free_bytes())

    def _standing(self, destinations: list[dict[str, Any]]) -> Metric:
        family = GaugeMetricFamily(
            "segue_cursor_standing_seconds", METRICS["segue_cursor_standing_seconds"], labels=["destination"]
        )
        states = self._views.state.destinations()
        slugs = {row.slug: row.id for row in self._views.control.snapshot().destinations}
        for entry in destinations:
            state: DestinationState | None = states.get(slugs.get(entry["slug"], 0))
            seconds = (self._clock.now_ms() - state.moved_at) / 1000 if entry["lag"] and state is not None else 0
            family.add_metric([entry["slug"]], max(0, seconds))
        return family


def _by_source(sources: list[dict[str, Any]], strangers: dict[str, int]) -> Iterator[Metric]:
    for name, key in (("segue_accepted_total", "accepted"), ("segue_duplicates_total", "duplicates")):
        family = CounterMetricFamily(name, METRICS[name], labels=["source"])
        for entry in sources:
            family.add_metric([entry["slug"]], entry[key])
        yield family
    dropped = CounterMetricFamily("segue_dropped_total", METRICS["segue_dropped_total"], labels=["source", "reason"])
    for entry in [*sources, {"slug": "", "dropped": strangers}]:
        for code, count in entry["dropped"].items():
            dropped.add_metric([entry["slug"], code], count)
    yield dropped


def _by_destination(destinations: list[dict[str, Any]]) -> Iterator[Metric]:
    delivered = CounterMetricFamily("segue_delivered_total", METRICS["segue_delivered_total"], labels=["destination"])
    retrying = GaugeMetricFamily("segue_retrying", METRICS["segue_retrying"], labels=["destination"])
    lag = GaugeMetricFamily("segue_lag", METRICS["segue_lag"], labels=["destination"])
    breaker = GaugeMetricFamily("segue_breaker_open", METRICS["segue_breaker_open"], labels=["destination"])
    for entry in destinations:
        delivered.add_metric([entry["slug"]], entry["delivered"])
        retrying.add_metric([entry["slug"]], entry["retrying"])
        lag.add_metric([entry["slug"]], entry["lag"])
        breaker.add_metric([entry["slug"]], entry["breaker"] != "closed")
    yield from (delivered, retrying, lag, breaker)
    for name, key in (("segue_filtered_total", "filtered"), ("segue_refused_total", "refused")):
        family = CounterMetricFamily(name, METRICS[name], labels=["destination", "reason"])
        for entry in destinations:
            for code, count in entry[key].items():
                family.add_metric([entry["slug"], code], count)
        yield family


def _by_space(spaces: list[dict[str, Any]]) -> Iterator[Metric]:
    profiles = GaugeMetricFamily("segue_profiles", METRICS["segue_profiles"], labels=["space", "collection"])
    name = "segue_space_applied_total"
    applied = CounterMetricFamily(name, METRICS[name], labels=["space"])
    name = "segue_space_skipped_total"
    skipped = CounterMetricFamily(name, METRICS[name], labels=["space", "reason"])
    lag = GaugeMetricFamily("segue_space_lag", METRICS["segue_space_lag"], labels=["space"])
    lake = GaugeMetricFamily("segue_lake_lag", METRICS["segue_lake_lag"], labels=["space"])
    outbox = GaugeMetricFamily("segue_outbox_waiting", METRICS["segue_outbox_waiting"], labels=["space"])
    stalled = GaugeMetricFamily("segue_space_stalled", METRICS["segue_space_stalled"], labels=["space"])
    for entry in spaces:
        stalled.add_metric([entry["slug"]], "stall" in entry)
        for collection in ("users", "accounts"):
            profiles.add_metric([entry["slug"], collection], entry[collection])
        applied.add_metric([entry["slug"]], entry["applied"])
        for code, count in entry["skipped"].items():
            skipped.add_metric([entry["slug"], code], count)
        lag.add_metric([entry["slug"]], entry["lag"])
        lake.add_metric([entry["slug"]], entry["lake_lag"])
        outbox.add_metric([entry["slug"]], entry["outbox"])
    yield from (profiles, applied, skipped, lag, stalled, lake, outbox)


def _gauge(name: str, value: float) -> Metric:
    return GaugeMetricFamily(name, METRICS[name], value=value)
