"""Instances for the tests of the command line, and a Ctrl-C that is heard."""

from __future__ import annotations

import signal

import pytest

from ..instance.conftest import make, make_shared

__all__ = ["make", "make_shared"]


@pytest.fixture(autouse=True, scope="session")
def heard_interrupts() -> None:
    """A shell that runs the tests in the background has them ignore Ctrl-C, and whatever they start as well."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
