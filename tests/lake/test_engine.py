"""DuckDB is there where a lake is written or read, and nowhere else: its memory is not spent before."""

from __future__ import annotations

import subprocess
import sys


def test_no_process_has_the_engine_before_it_is_used():
    look = "import segue.wiring.worker, segue.wiring.collector, segue.cli, sys; print('duckdb' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"
