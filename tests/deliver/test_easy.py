"""One request and its answer, against real servers that behave as servers do: well, badly, and not at all."""

import asyncio
import datetime
import email.utils
import gzip
import os
import socket

import pytest

from segue.core.destination import Request, Response
from segue.deliver.easy import BODY_KEPT
from segue.deliver.http import HttpClient
from tests.deliver.vendor import FINE, Inbound, making, serving


async def test_a_post_arrives_with_exactly_its_headers_and_body(client: HttpClient) -> None:
    async with serving(FINE) as server:
        headers = (("Authorization", "Basic a2V5Og=="), ("Content-Type", "application/json"), ("X-Empty", ""))
        response = await client.send(Request(url=server.url("/in/../x?y=z"), headers=headers, body=b'{"a":"\xc3\xa9"}'))
        assert (response.status, response.body, response.error) == (200, b"ok", "")
        (inbound,) = server.requests
        assert inbound.body == b'{"a":"\xc3\xa9"}'
        lines = inbound.head.strip().split("\r\n")
        assert lines[0] == "POST /in/../x?y=z HTTP/1.1"
        assert sorted(lines[1:]) == [
            "Authorization: Basic a2V5Og==",
            "Content-Length: 10",
            "Content-Type: application/json",
            f"Host: 127.0.0.1:{server.port}",
            "X-Empty:",
        ]


async def test_every_method_is_sent_as_asked_in_any_order(client: HttpClient) -> None:
    async with serving(FINE) as server:
        sent = [
            ("GET", b""),
            ("POST", b"a"),
            ("PUT", b"b"),
            ("POST", b"c"),
            ("DELETE", b""),
            ("POST", b""),
            ("GET", b""),
        ]
        sent += [("PATCH", b"d"), ("PATCH", b"e"), ("GET", b"f"), ("GET", b""), ("POST", b"g"), ("POST", b"h")]
        for method, body in sent:
            response = await client.send(Request(method=method, url=server.url(), body=body))
            assert response.status == 200
        assert [(inbound.head.split()[0], inbound.body) for inbound in server.requests] == sent
        assert server.connections == 1


async def test_a_large_body_is_sent_without_waiting_for_a_100(client: HttpClient) -> None:
    async with serving(FINE) as server:
        body = os.urandom(3_000_000)
        response = await client.send(Request(url=server.url(), body=body))
        assert response.status == 200
        assert server.requests[0].body == body
        assert server.requests[0].header("expect") is None
        # The body is let go of; the handle's next request sends its own.
        assert (await client.send(Request(url=server.url(), body=b"small"))).status == 200
        assert server.requests[1].body == b"small"


async def test_headers_of_one_request_do_not_stay_for_the_next(client: HttpClient) -> None:
    async with serving(FINE) as server:
        await client.send(Request(url=server.url(), headers=(("X-Signature", "one"),), body=b"1"))
        await client.send(Request(url=server.url(), body=b"2"))
        await client.send(Request(url=server.url(), headers=(("X-Signature", "three"),), body=b"3"))
        assert [inbound.header("x-signature") for inbound in server.requests] == ["one", None, "three"]


@pytest.mark.parametrize(
    "request_",
    [
        Request(url="http://127.0.0.1:1/", headers=(("X-A", "b\r\nX-C: d"),)),
        Request(url="http://127.0.0.1:1/", headers=(("X A", "b"),)),
        Request(url="http://127.0.0.1:1/", headers=(("X-A", "b\x00c"),)),
        Request(url="http://127.0.0.1:1/", method="GET /x HTTP/1.1\r\n"),
        Request(url="http://127.0.0.1:1/", method="HEAD"),
    ],
)
async def test_what_cannot_be_written_is_einval(client: HttpClient, request_: Request) -> None:
    assert await client.send(request_) == Response(status=0, error="EINVAL")
    assert client.in_flight == 0


async def test_a_header_that_frames_the_body_is_not_taken_from_the_request(client: HttpClient) -> None:
    async with serving(FINE) as server:
        headers = (
            ("Content-Length", "1"),
            ("Transfer-Encoding", "chunked"),
            ("X-Ü".encode("ascii", "ignore").decode(), "é"),
        )
        assert (await client.send(Request(url=server.url(), headers=headers, body=b"abc"))).status == 200
        assert server.requests[0].body == b"abc"
        assert server.requests[0].header("transfer-encoding") is None
        assert server.requests[0].header("x-") == "é"


async def test_statuses_come_back_as_they_are_and_redirects_are_not_followed(client: HttpClient) -> None:
    async def by_path(writer: asyncio.StreamWriter, inbound: Inbound) -> None:
        status = inbound.head.split()[1].strip("/")
        writer.write(f"HTTP/1.1 {status} X\r\nLocation: /200\r\nContent-Length: 1\r\n\r\nb".encode())

    async with serving(by_path) as server:
        for status in (200, 201, 301, 302, 307, 400, 401, 404, 429, 500, 501, 503, 599):
            response = await client.send(Request(url=server.url(f"/{status}"), body=b"x"))
            assert (response.status, response.body) == (status, b"b")
        assert len(server.requests) == 13


async def test_an_unauthorized_answer_that_asks_for_credentials_is_final(client: HttpClient) -> None:
    async with serving(b'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n') as server:
        assert (await client.send(Request(url=server.url(), body=b"x"))).status == 401
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [("0", None, None), ("7", 7_000, 7_000), ("99999", 3_600_000, 3_600_000), ("soon", None, None), ("-5", None, None)],
)
async def test_retry_after_in_seconds(client: HttpClient, value: str, least: int | None, most: int | None) -> None:
    answer = f"HTTP/1.1 503 Busy\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n".encode()
    async with serving(answer) as server:
        response = await client.send(Request(url=server.url(), body=b"x"))
        assert response.retry_after_ms == least == most
        assert response.status == 503


async def test_retry_after_as_a_date_and_not_kept_for_the_next_answer(client: HttpClient) -> None:
    due = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=60)
    dates = [email.utils.format_datetime(due, usegmt=True), "Wed, 21 Oct 2015 07:28:00 GMT"]
    answers = [f"HTTP/1.1 429 X\r\nRetry-After: {date}\r\nContent-Length: 0\r\n\r\n".encode() for date in dates]
    answers.append(b"HTTP/1.1 429 X\r\nContent-Length: 0\r\n\r\n")

    async def in_turn(writer: asyncio.StreamWriter, _inbound: Inbound) -> None:
        writer.write(answers.pop(0))

    async with serving(in_turn) as server:
        delays = [(await client.send(Request(url=server.url()))).retry_after_ms for _ in range(3)]
    assert delays[0] is not None
    assert 50_000 <= delays[0] <= 60_000
    assert delays[1:] == [None, None]


async def test_the_name_of_retry_after_is_read_in_any_case(client: HttpClient) -> None:
    async with serving(b"HTTP/1.1 429 X\r\nRETRY-AFTER: 3\r\nX-Other: y\r\nContent-Length: 0\r\n\r\n") as server:
        assert (await client.send(Request(url=server.url()))).retry_after_ms == 3_000


async def test_a_server_that_never_answers_times_out(client: HttpClient) -> None:
    async def silent(_writer: asyncio.StreamWriter, _inbound: Inbound) -> None:
        await asyncio.Event().wait()

    async with serving(silent) as server, making(timeout_ms=150) as hasty:
        response = await hasty.send(Request(url=server.url(), body=b"x"))
        assert (response.status, response.error) == (0, "ETIMEDOUT")
        assert response.duration_ms >= 140
        assert len(server.requests) == 1


async def test_a_server_that_drips_is_ended_by_the_time_out_in_all() -> None:
    async def drip(writer: asyncio.StreamWriter, _inbound: Inbound) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.01)

    async with serving(drip) as server, making(timeout_ms=200) as hasty:
        response = await hasty.send(Request(url=server.url(), body=b"x"))
        assert (response.status, response.error) == (0, "ETIMEDOUT")


async def test_a_connect_that_nobody_accepts_times_out() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        async with making(timeout_ms=150) as hasty:
            response = await hasty.send(Request(url=f"http://127.0.0.1:{address[1]}/", body=b"x"))
            assert (response.status, response.error) == (0, "ETIMEDOUT")
        for filler in fillers:
            filler.close()


async def test_a_connection_dropped_before_the_answer_is_a_reset(client: HttpClient) -> None:
    async def drop(writer: asyncio.StreamWriter, _inbound: Inbound) -> None:
        writer.transport.abort()

    async with serving(drop) as server:
        response = await client.send(Request(url=server.url(), body=b"x"))
        assert (response.status, response.error) == (0, "ECONNRESET")
        assert len(server.requests) == 1


async def test_a_connection_dropped_within_the_answer_is_a_reset(client: HttpClient) -> None:
    async def drop(writer: asyncio.StreamWriter, _inbound: Inbound) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        writer.close()

    async with serving(drop) as server:
        response = await client.send(Request(url=server.url(), body=b"x"))
        assert (response.status, response.error) == (0, "ECONNRESET")


@pytest.mark.parametrize(
    ("answer", "status", "error"),
    [
        (b"", 0, "ECONNRESET"),
        (b"HTTP/1.1 20", 0, "ECONNRESET"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", 0, "ECONNRESET"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", 0, "ECONNRESET"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", 200, ""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Fine\r\n\r\n", 202, ""),
    ],
)
async def test_an_answer_that_ends_early(client: HttpClient, answer: bytes, status: int, error: str) -> None:
    async def cut(writer: asyncio.StreamWriter, _inbound: Inbound) -> None:
        writer.write(answer)
        writer.close()

    async with serving(cut) as server:
        response = await client.send(Request(url=server.url(), body=b"x"))
        assert (response.status, response.error) == (status, error)
        assert len(server.requests) == 1


async def test_nobody_listening_is_refused(client: HttpClient) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        response = await client.send(Request(url=f"http://127.0.0.1:{taken.getsockname()[1]}/", body=b"x"))
    assert (response.status, response.error) == (0, "ECONNREFUSED")


async def test_a_name_that_does_not_exist_is_not_found(client: HttpClient) -> None:
    response = await client.send(Request(url="http://x.invalid/", body=b"x"))
    assert (response.status, response.error) == (0, "ENOTFOUND")


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 banana\r\n\r\n", b"\x15\x03\x01\x00\x02\x02"]
)
async def test_an_answer_that_is_not_http_is_a_protocol_error(client: HttpClient, answer: bytes) -> None:
    async with serving(answer) as server:
        response = await client.send(Request(url=server.url(), body=b"x"))
        assert (response.status, response.error) == (0, "EPROTO")


async def test_a_chunked_answer_is_put_together(client: HttpClient) -> None:
    async with serving(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    ) as server:
        for _ in range(2):
            response = await client.send(Request(url=server.url(), body=b"x"))
            assert (response.status, response.body) == (200, b"abcde")
        assert server.connections == 1


async def test_compression_is_not_asked_for_and_not_undone(client: HttpClient) -> None:
    body = gzip.compress(b"x" * 10_000_000)
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    async with serving(answer) as server:
        response = await client.send(Request(url=server.url(), body=b"x"))
        assert response.body == body
        assert server.requests[0].header("accept-encoding") is None


@pytest.mark.parametrize("framing", [b"Content-Length: 100000000", b"Connection: close"])
async def test_of_a_100_mb_body_the_first_64_kb_are_kept(client: HttpClient, framing: bytes) -> None:
    written = 0

    async def flood(writer: asyncio.StreamWriter, _inbound: Inbound) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 400 No\r\n" + framing + b"\r\n\r\n")
        for _ in range(1000):
            writer.write(b"y" * 100_000)
            written += 100_000
            await writer.drain()
        writer.close()

    async with serving(flood) as server:
        response = await client.send(Request(url=server.url(), body=b"x"))
        assert (response.status, response.error) == (400, "")
        assert response.body == b"y" * BODY_KEPT
        assert written < 50_000_000


async def test_a_body_a_little_over_the_limit_keeps_the_connection(client: HttpClient) -> None:
    size = BODY_KEPT + 50_000
    async with serving(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"z" * size) as server:
        for _ in range(3):
            assert (await client.send(Request(url=server.url()))).body == b"z" * BODY_KEPT
        assert server.connections == 1


async def test_a_huge_header_is_a_protocol_error_and_not_memory(client: HttpClient) -> None:
    async def endless(writer: asyncio.StreamWriter, _inbound: Inbound) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-A: " + b"a" * 50_000 + b"\r\n")
            await writer.drain()

    async with serving(endless) as server:
        response = await client.send(Request(url=server.url()))
        assert response.status == 0
        assert response.error in ("EPROTO", "ECONNRESET")
