"""The rows of the benchmark: value, limit, whether it is met; as a table and as JSON.

Rule: every row is printed beside its limit, and says itself whether the limit is a least or a most.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from msgspec import Struct


class Row(Struct, frozen=True, kw_only=True):
    """One measured value. `limit` None: shown only. `unit` is empty for a ratio."""

    row: str
    what: str
    value: float
    limit: float | None = None
    at_least: bool = True
    unit: str = ""
    detail: dict[str, Any] = {}

    @property
    def met(self) -> bool | None:
        """Whether the limit is kept; None where there is none."""
        if self.limit is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def table(rows: Sequence[Row]) -> str:
    """The rows as people read them."""
    shown = [("what", "measured", "limit", "")]
    for row in rows:
        limit = "" if row.limit is None else f"{'>=' if row.at_least else '<='} {row.limit:,g}{_unit(row)}"
        verdict = {True: "met", False: "NOT MET", None: "(shown only)"}[row.met]
        value = f"{row.value:,.0f}" if row.value >= 1000 else f"{row.value:.3g}"
        shown.append((f"{row.row}: {row.what}", f"{value}{_unit(row)}", limit, verdict))
    widths = [max(len(line[place]) for line in shown) for place in range(4)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in shown]
    return "\n".join([lines[0], "-" * len(max(lines, key=len)), *lines[1:]])


def save(rows: Sequence[Row], about: dict[str, object], folder: Path) -> Path:
    """Write all of it to `folder`/<time>.json; gives the path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{time.strftime('%Y-%m-%dT%H-%M-%S')}.json"
    shown = [{**msgspec.structs.asdict(row), "met": row.met} for row in rows]
    path.write_bytes(msgspec.json.format(msgspec.json.encode({**about, "rows": shown})) + b"\n")
    return path


def middle(values: Sequence[float]) -> float:
    """The median."""
    return float(median(values))


def _unit(row: Row) -> str:
    return f" {row.unit}" if row.unit else ""
