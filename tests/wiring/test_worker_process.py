"""The end of the worker process, also where something hangs."""

from __future__ import annotations

import subprocess
import sys

ENDS = """
import time
from segue.wiring.worker_process import ended_within
with ended_within(60, 3):
    pass
with ended_within(0.01, 7):
    time.sleep(100)
"""


def test_what_hangs_at_the_end_ends_the_process_with_its_exit_code_and_what_does_not_leaves_it_alone() -> None:
    assert subprocess.run([sys.executable, "-c", ENDS], timeout=60, check=False).returncode == 7
