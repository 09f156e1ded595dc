"""The metrics page, from the two tables of metrics.

Rule: a metric is on the page exactly where the code has it.
"""

from __future__ import annotations

from segue.collect.metrics import METRICS as OF_COLLECTOR
from segue.wiring.metrics import METRICS as OF_INSTANCE
from segue_docs.markdown import code, generated_from, table

_HEAD = """# Metrics

`GET /metrics` on the collector's port, in Prometheus' text format. Labels hold slugs, codes, routes and statuses, never
what a sender chose, so the number of series is bounded. [Monitor with Prometheus](../how-to/monitor.md) has rules that
you can use as they are. Counters of the collector begin at 0 with each start; those of the instance do not.

"""


def page() -> str:
    """The page."""
    parts = [_HEAD, generated_from("segue.wiring.metrics", "segue.collect.metrics")]
    for title, metrics in (("Instance", OF_INSTANCE), ("Collector", OF_COLLECTOR)):
        rows = [(code(name), "counter" if name.endswith("_total") else "gauge", text) for name, text in metrics.items()]
        parts.append(f"## {title}\n\n" + table(("Metric", "Type", "Meaning"), rows) + "\n")
    return "".join(parts)
