"""The command line of the benchmark: `python -m bench [--quick] [--data DIR] [ROW ...]`.

Rule: it ends with 0 where every row asked for is met, with 1 where one is not, with 2 where it could not measure.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from bench import machine
from bench.children import Failed
from bench.measure import RESULTS, Extent, tell
from bench.report import Row, save, table

ROWS = {
    "idle": "idle:measure",
    "preview": "preview:measure",
    "lake-disk": "lake_disk:measure",
    "compute": "compute:measure",
    "engage-latency": "engage:latency",
    "exit": "engage:exits",
    "first-sync": "engage:first_sync",
    "collect": "collect:measure",
    "deliver": "deliver:measure",
    "latency": "latency:measure",
    "soak": "soak:measure",
}
"""By what each is measured: a function of a module, which takes the extent; the longest comes last."""

QUIET = 0.1
"""So much of the cores may others take before the figures suffer."""


def main(arguments: Sequence[str]) -> int:
    """Measure, print the table, write the JSON; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Segue beside its limits.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"{', '.join(ROWS)}; all where none is named")
    parser.add_argument("--quick", action="store_true", help="for trying: too short to be believed")
    parser.add_argument(
        "--data", metavar="DIR", type=Path, default=RESULTS,
        help="make the instances that are measured below DIR, to measure its disk; default: %(default)s",
    )  # fmt: skip
    asked = parser.parse_args(arguments)
    unknown = set(asked.rows) - set(ROWS)
    if unknown:
        parser.error(f"there is no row {', '.join(sorted(unknown))}")
    names = [name for name in ROWS if not asked.rows or name in asked.rows]
    if not machine.PINNED:
        tell("this machine has one core: load and sink share it, so every figure is worse than it would be")
    else:
        os.sched_setaffinity(0, machine.LOAD_CORE)
    others = machine.Others()
    about: dict[str, object] = {
        "began": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "quick": asked.quick,
        "machine": machine.description(),
    }
    rows: list[Row] = []
    shares: dict[str, float] = {}
    try:
        for name in names:
            tell(f"{name} ...")
            during = machine.Others()
            rows += _measure(name)(Extent(quick=asked.quick, data=asked.data))
            shares[name] = round(during.share(), 3)
    except Failed as error:
        tell(f"could not measure: {error}")
        return 2
    finally:
        if rows:
            path = save(rows, {**about, "share_of_others": shares}, RESULTS)
            print(f"\n{table(rows)}\n")
            if others.share() > QUIET:
                print(f"Others took {others.share():.0%} of the cores meanwhile: read the ratios, not the times.")
            if asked.quick:
                print("--quick: too short to be believed; leave it out to measure.")
            print(f"Written to {path.relative_to(RESULTS.parent.parent)}")
    return 1 if any(row.met is False for row in rows) else 0


def _measure(name: str) -> Callable[[Extent], list[Row]]:
    module, _, function = ROWS[name].partition(":")
    measure: Callable[[Extent], list[Row]] = getattr(import_module(f"bench.{module}"), function)
    return measure
