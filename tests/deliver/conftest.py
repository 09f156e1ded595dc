"""Loops for the tests of delivery: the HTTP client runs under uvloop, as in production, and under asyncio's own."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
import uvloop

from segue.deliver.http import HttpClient
from tests.deliver.vendor import making

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
BOTH_LOOPS = {"test_easy", "test_http", "test_sockets"}


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, LoopFactory]:
    factories: dict[str, LoopFactory] = {"uvloop": uvloop.new_event_loop}
    if item.path.stem in BOTH_LOOPS:
        factories["asyncio"] = asyncio.new_event_loop
    return factories


@pytest_asyncio.fixture
async def client() -> AsyncIterator[HttpClient]:
    """A client that may connect to this machine."""
    async with making() as made:
        yield made
