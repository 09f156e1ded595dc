"""Idle: what an instance without sandboxes takes while nothing happens, and how soon it is ready.

Rule: time to ready is counted from the start of the process to the line that says so, with a new data folder, which
takes longer than one that is there; memory is the sum of PSS of the supervisor and its children.
"""

from __future__ import annotations

import time

from bench import machine
from bench.children import instance, write_workspace
from bench.measure import Extent, tell
from bench.report import Row, middle

ROUNDS = 3
SETTLE_SECONDS = 5.0
SECONDS = 20.0
MEMORY_MB, CPU_PERCENT, READY_SECONDS = 150.0, 1.0, 2.0


def measure(extent: Extent) -> list[Row]:
    """The rows `idle`."""
    memory, cpu, ready, again = [], [], [], []
    each: dict[str, float] = {}
    for number in range(extent.rounds(ROUNDS)):
        with extent.folder() as data:
            # Nothing listens there, and nothing is sent there.
            workspace = write_workspace(data, destinations=["https://example.com/events"])
            with instance(data / "instance", workspace=workspace) as running:
                ready.append(running.ready_seconds)
                time.sleep(SETTLE_SECONDS)
                processes = machine.family(running.process.pid)
                begun, before = time.monotonic(), [machine.cpu_seconds(process) for process in processes]
                time.sleep(extent.seconds(SECONDS))
                used = sum(machine.cpu_seconds(process) for process in processes) - sum(before)
                cpu.append(100 * used / (time.monotonic() - begun))
                memory.append(machine.proportional_bytes(processes) / 1e6)
                each = {str(place): machine.proportional_bytes([one]) / 1e6 for place, one in enumerate(processes)}
            with instance(data / "instance", workspace=workspace) as running:
                again.append(running.ready_seconds)
        tell(
            f"  round {number + 1}: {memory[-1]:.1f} MB, {cpu[-1]:.2f} %, ready after {ready[-1]:.2f} s, "
            f"the second time {again[-1]:.2f} s"
        )
    detail = {"memory_mb_of_each": each, "ready_seconds": ready, "ready_seconds_again": again, "cpu_percent": cpu}
    return [
        Row(
            row="idle",
            what="memory of all processes but the sandboxes (PSS)",
            value=middle(memory),
            limit=MEMORY_MB,
            at_least=False,
            unit="MB",
            detail=detail,
        ),
        Row(row="idle", what="CPU", value=middle(cpu), limit=CPU_PERCENT, at_least=False, unit="%"),
        Row(row="idle", what="time to ready", value=middle(ready), limit=READY_SECONDS, at_least=False, unit="s"),
    ]
