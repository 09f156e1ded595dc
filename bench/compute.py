"""Compute: resolve and compute of one space on one core, of many definitions, and of many profiles.

Rule: the three spaces take turns, so that what else the machine does meets all alike; a rate is of CPU time, which
counts every thread, commits too.
"""

from __future__ import annotations

from contextlib import ExitStack

import msgspec

from bench.children import Speaker, speaker
from bench.computing import ComputingSpec
from bench.machine import SERVER_CORE
from bench.measure import Extent, tell
from bench.report import Row, middle

ROUNDS = 3
EVENTS = 30_000
PROFILES, MANY_PROFILES = 100_000, 1_000_000
FURTHER = 500
PER_SECOND, RATIO = 10_000.0, 0.8


def measure(extent: Extent) -> list[Row]:
    """The rows `compute` and `compute-many`."""
    many = extent.count(MANY_PROFILES)
    spaces = {"base": (PROFILES, 0), "definitions": (PROFILES, FURTHER), "profiles": (many, 0)}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in spaces}
    with extent.folder() as folder, ExitStack() as stack:
        asked: dict[str, Speaker] = {}
        for name, (profiles, further) in spaces.items():
            place = folder / name
            place.mkdir()
            spec = ComputingSpec(folder=str(place), profiles=profiles, further=further)
            text = msgspec.json.encode(spec).decode()
            asked[name] = stack.enter_context(speaker("bench.computing", text, core=SERVER_CORE))
        events = extent.count(EVENTS)
        for turn in range(extent.rounds(ROUNDS) + 1):
            for name, one in asked.items():
                answer = one.ask(f"round {events if turn else events // 2}")
                if turn:  # the first fills what is at hand
                    found[name].append(answer)
            if turn:
                shown = ", ".join(f"{name} {events / each[-1]['cpu_seconds']:,.0f}" for name, each in found.items())
                tell(f"  round {turn}, events/s of CPU: {shown}")
    return _rows(found, events)


def _rows(found: dict[str, list[dict[str, float]]], events: int) -> list[Row]:
    cpu = {name: [each["cpu_seconds"] for each in answers] for name, answers in found.items()}
    detail = {
        "events": events,
        "events_per_second_of_cpu": {name: [events / each for each in values] for name, values in cpu.items()},
        "events_per_second": {name: [events / each["seconds"] for each in answers] for name, answers in found.items()},
    }

    def of_first(name: str) -> float:
        return middle([one / other for one, other in zip(cpu["base"], cpu[name], strict=True)])

    return [
        Row(
            row="compute",
            what="events resolved and computed, each touching 2-3 of 15 definitions",
            value=events / middle(cpu["base"]),
            limit=PER_SECOND,
            unit="/s",
            detail=detail,
        ),
        Row(
            row="compute-many",
            what=f"{FURTHER} further audiences, of the first",
            value=of_first("definitions"),
            limit=RATIO,
        ),
        Row(row="compute-many", what="1,000,000 profiles, of the first", value=of_first("profiles"), limit=RATIO),
    ]
