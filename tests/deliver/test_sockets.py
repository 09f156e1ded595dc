"""Connections between two requests: kept, closed by the peer, never used for a second sending."""

import asyncio
import os

from segue.core.destination import Request
from segue.deliver.http import HttpClient
from tests.deliver.vendor import FINE, NO_CONTENT, Inbound, open_sockets, serving, until


async def test_garbage_behind_a_204_does_not_reach_the_next_answer(client: HttpClient) -> None:
    async with serving(NO_CONTENT + b"garbage\r\n\r\nHTTP/1.1 500 No\r\n\r\n") as server:
        for _ in range(3):
            response = await client.send(Request(url=server.url(), body=b"x"))
            assert (response.status, response.body, response.error) == (204, b"", "")
        assert len(server.requests) == 3


async def test_a_connection_closed_while_idle_is_replaced_and_nothing_is_sent_twice(client: HttpClient) -> None:
    async def answer_and_close(writer: asyncio.StreamWriter, _inbound: Inbound) -> None:
        writer.write(FINE)
        await writer.drain()
        writer.close()

    async with serving(answer_and_close) as server:
        for number in range(5):
            response = await client.send(Request(url=server.url(), body=b"%d" % number))
            assert response.status == 200
            await until(lambda: not open_sockets(client))
        assert [inbound.body for inbound in server.requests] == [b"0", b"1", b"2", b"3", b"4"]
        assert server.connections == 5


async def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_one(client: HttpClient) -> None:
    unasked = asyncio.Event()

    async def twice(writer: asyncio.StreamWriter, _inbound: Inbound) -> None:
        writer.write(FINE)
        await unasked.wait()
        writer.write(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")

    async with serving(twice) as server:
        assert (await client.send(Request(url=server.url(), body=b"1"))).status == 200
        assert len(open_sockets(client)) == 1
        unasked.set()
        await until(lambda: not open_sockets(client))
        assert (await client.send(Request(url=server.url(), body=b"2"))).status == 200
        assert [inbound.body for inbound in server.requests] == [b"1", b"2"]


async def test_a_post_read_by_a_server_that_then_drops_a_used_connection_is_not_sent_twice(client: HttpClient) -> None:
    async def drop_the_second(writer: asyncio.StreamWriter, inbound: Inbound) -> None:
        if inbound.body == b"second":
            writer.transport.abort()
        else:
            writer.write(FINE)

    async with serving(drop_the_second) as server:
        assert (await client.send(Request(url=server.url(), body=b"first"))).status == 200
        response = await client.send(Request(url=server.url(), body=b"second"))
        assert (response.status, response.error) == (0, "ECONNRESET")
        assert (await client.send(Request(url=server.url(), body=b"third"))).status == 200
        assert [inbound.body for inbound in server.requests] == [b"first", b"second", b"third"]


async def test_sockets_are_not_inherited_by_children(client: HttpClient) -> None:
    async with serving(FINE) as server:
        await client.send(Request(url=server.url()))
        assert open_sockets(client)
        assert [number for number in open_sockets(client) if os.get_inheritable(number)] == []
