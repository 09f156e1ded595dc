"""This machine as the benchmark sees it: its cores, and what a process takes of it.

Rule: where there are two cores, what is measured has one to itself and all that loads it has the other.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_AVAILABLE = sorted(os.sched_getaffinity(0))

PINNED = len(_AVAILABLE) > 1
SERVER_CORE = {_AVAILABLE[0]}
LOAD_CORE = {_AVAILABLE[-1]}


@contextmanager
def on_core(core: set[int]) -> Iterator[None]:
    """Processes started within the block run on this core only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, core)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(process: int) -> float:
    """User and system time of a process so far, all its threads, to 10 ms."""
    # The name of the program may hold blanks; what follows its bracket may not.
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def family(process: int) -> list[int]:
    """A process and all that descend from it."""
    members = [process]
    for member in members:
        for task in Path(f"/proc/{member}/task").iterdir():
            members += map(int, (task / "children").read_text().split())
    return members


def proportional_bytes(processes: Iterable[int]) -> int:
    """The sum of their PSS: a page shared by n processes counts as an nth in each."""
    return sum(_rollup(process)["Pss"] for process in processes)


def unmapped_bytes(processes: Iterable[int]) -> int:
    """Their memory without mapped files."""
    return sum(_rollup(process)["Pss_Anon"] for process in processes)


def _rollup(process: int) -> dict[str, int]:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    return {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in lines}


def description() -> dict[str, object]:
    """What a reader of the figures must know of the machine."""
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    return {
        "cpu": cpu.partition(":")[2].strip(),
        "cores": len(_AVAILABLE),
        "pinned": PINNED,
        "kernel": os.uname().release,
        "load_average": os.getloadavg()[0],
    }
