"""What the collector counts, as Prometheus reads it.

Rule: counting costs one addition; the set of series is bounded, since no label holds what a sender chose.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector as PrometheusCollector

METRICS: dict[str, str] = {
    "segue_collect_requests_total": "Requests answered, by route and status.",
    "segue_collect_events_total": "Events, those of spaces among them: accepted, duplicate or dropped.",
    "segue_collect_dropped_total": "Dropped events, by reason code.",
    "segue_collect_lost_pixels_total": "Pixels whose event was neither taken nor kept, by code; the picture was sent.",
    "segue_collect_body_bytes_total": "Bytes of request bodies after inflating.",
    "segue_collect_commits_total": "Group commits, by result: done or failed.",
    "segue_collect_commit_seconds_total": "Seconds spent in group commits.",
    "segue_collect_refused_connections_total": "Connections answered 503 or cut because there were too many.",
    "segue_collect_connections": "Open connections.",
    "segue_collect_waiting_requests": "Requests that wait for a commit.",
    "segue_collect_waiting_bytes": "Bytes of events that wait for a commit.",
}
"""Every metric of the collector and what it means; the docs are made from this table."""


class CollectMetrics(PrometheusCollector):
    """Plain numbers, read by Prometheus when it asks. Used on one event loop."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.dropped: Counter[str] = Counter()
        self.lost_pixels: Counter[str] = Counter()
        self.accepted = 0
        self.duplicates = 0
        self.body_bytes = 0
        self.commits = 0
        self.failed_commits = 0
        self.commit_ms = 0
        self.refused_connections = 0
        self.connections: Callable[[], int] = lambda: 0
        self.waiting_requests = 0
        self.waiting_bytes = 0

    def collect(self) -> Iterator[Metric]:
        """Every series at this moment."""
        requests = _counter("segue_collect_requests_total", "route", "status")
        for (route, status), n in list(self.requests.items()):
            requests.add_metric([route, str(status)], n)
        yield requests
        dropped = _counter("segue_collect_dropped_total", "reason")
        for code, n in list(self.dropped.items()):
            dropped.add_metric([code], n)
        yield dropped
        lost = _counter("segue_collect_lost_pixels_total", "code")
        for code, n in list(self.lost_pixels.items()):
            lost.add_metric([code], n)
        yield lost
        events = _counter("segue_collect_events_total", "outcome")
        outcomes = {"accepted": self.accepted, "duplicate": self.duplicates, "dropped": sum(self.dropped.values())}
        for outcome, n in outcomes.items():
            events.add_metric([outcome], n)
        yield events
        commits = _counter("segue_collect_commits_total", "result")
        commits.add_metric(["done"], self.commits)
        commits.add_metric(["failed"], self.failed_commits)
        yield commits
        yield _plain(CounterMetricFamily, "segue_collect_body_bytes_total", self.body_bytes)
        yield _plain(CounterMetricFamily, "segue_collect_commit_seconds_total", self.commit_ms / 1000)
        yield _plain(CounterMetricFamily, "segue_collect_refused_connections_total", self.refused_connections)
        yield _plain(GaugeMetricFamily, "segue_collect_connections", self.connections())
        yield _plain(GaugeMetricFamily, "segue_collect_waiting_requests", self.waiting_requests)
        yield _plain(GaugeMetricFamily, "segue_collect_waiting_bytes", self.waiting_bytes)


def _counter(name: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, METRICS[name], labels=labels)


def _plain(family: Callable[..., Metric], name: str, value: float) -> Metric:
    return family(name, METRICS[name], value=value)
