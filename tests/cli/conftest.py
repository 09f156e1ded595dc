"""Instances for the tests of the command line."""

from __future__ import annotations

from ..instance.conftest import make, make_shared

__all__ = ["make", "make_shared"]
