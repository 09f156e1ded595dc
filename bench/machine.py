"""This machine as the benchmark sees it: its cores, and what a process takes of it.

Rule: where there are two cores, what is measured has one to itself and all that loads it has the other.
"""

from __future__ import annotations

import os
import resource
import time
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


def busy_seconds(core: set[int]) -> float:
    """How long these cores have worked so far, for whomever; what the machine under them took away counts too."""
    busy = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *times = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in core:
            user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = map(int, times[:8])
            busy += user + nice + system + interrupts + soft_interrupts + stolen
    return busy / _TICKS


class Others:
    """How much of our cores those take that are no part of the benchmark."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._busy, self._ours = self._now()

    def share(self) -> float:
        """Their part of all the time since this was made: 0 on a machine that does nothing else."""
        busy, ours = self._now()
        passed = (time.monotonic() - self._begun) * len(SERVER_CORE | LOAD_CORE)
        return max(0.0, (busy - self._busy) - (ours - self._ours)) / passed

    def _now(self) -> tuple[float, float]:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        ours = ended.ru_utime + ended.ru_stime
        return busy_seconds(SERVER_CORE | LOAD_CORE), ours + sum(map(cpu_seconds, family(os.getpid())))


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
    }
