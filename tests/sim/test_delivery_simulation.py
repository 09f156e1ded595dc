"""The delivery stage under seeded trouble. `SEGUE_SIM_SEEDS=5000` runs more seeds, `SEGUE_SIM_SEED=17` one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from tests.sim.simulation import Simulation

SEEDS = int(os.environ.get("SEGUE_SIM_SEEDS", "200"))
AT_ONCE = 10
ONE = os.environ.get("SEGUE_SIM_SEED")
MEMORY = Path("/dev/shm")


def run(seed: int) -> None:
    """One run; its state's file is in memory where the machine has such a place, for a run commits often."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        try:
            Simulation(seed, Path(folder)).run()
        except BaseException as error:
            error.add_note(f"again: SEGUE_SIM_SEED={seed} .venv/bin/pytest tests/sim")
            raise


@pytest.mark.parametrize("first", [int(ONE)] if ONE else range(0, SEEDS, AT_ONCE))
def test_nothing_is_lost_and_order_and_balance_hold_whatever_fails(first: int) -> None:
    for seed in range(first, first + (1 if ONE else AT_ONCE)):
        run(seed)
