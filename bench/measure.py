"""What every row is handed: how long to measure, where to put files, whom to tell.

Rule: files are made on the disk that holds the checkout, or where one is told to measure, and never in the system's
temporary folder, since a file system in memory would make commits free.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from bench.children import ROOT

RESULTS = ROOT / "bench" / "results"


class Extent(Struct, frozen=True, kw_only=True):
    """How much is measured. `quick` is for trying: too short to be believed."""

    quick: bool = False
    data: Path = RESULTS
    """The folder in which each measurement makes a data folder of its own, removed after it."""

    def rounds(self, full: int) -> int:
        """How many rounds, where `full` are enough to be believed."""
        return 1 if self.quick else full

    def seconds(self, full: float) -> float:
        """How long, where `full` is long enough."""
        return min(full, 2.0) if self.quick else full

    def count(self, full: int) -> int:
        """How many events, where `full` are enough."""
        return max(1, full // 10) if self.quick else full

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A folder for one measurement, removed after it."""
        self.data.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix="data-", dir=self.data))
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)


def tell(text: str) -> None:
    """Say how far it is."""
    print(text, file=sys.stderr, flush=True)
