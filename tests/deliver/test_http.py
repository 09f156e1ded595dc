"""The HTTP client against real servers that behave as servers do: well, badly, and not at all."""

import asyncio
import datetime
import email.utils
import gc
import gzip
import os
import select
import socket
import ssl
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from segue.core.destination import Request, Response
from segue.deliver.addresses import AddressPolicy, address_policy
from segue.deliver.easy import BODY_KEPT, is_own_address
from segue.deliver.http import HttpClient

LOOPBACK = address_policy(allow_internal="127.0.0.0/8 ::1")
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Inbound(NamedTuple):
    """One request as a server read it."""

    head: str
    body: bytes
    connection: int

    def header(self, name: str) -> str | None:
        for line in self.head.split("\r\n")[1:]:
            found, _, value = line.partition(":")
            if found.lower() == name.lower():
                return value.strip()
        return None


Answer = Callable[[asyncio.StreamWriter, Inbound], Awaitable[None]]


class Server:
    """A server on a free port that records each request and answers as `answer` does."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self._answer = answer
        self._tls = tls
        self.requests: list[Inbound] = []
        self.connections = 0
        self.tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}{path}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        self.connections += 1
        number = self.connections
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                inbound = Inbound(head, b"", number)
                length = int(inbound.header("content-length") or 0)
                inbound = inbound._replace(body=await reader.readexactly(length))
                self.requests.append(inbound)
                await self._answer(writer, inbound)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self.tasks.discard(task)


@asynccontextmanager
async def serving(answer: Answer | bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    async def write(writer: asyncio.StreamWriter, _inbound: Inbound) -> None:
        assert isinstance(answer, bytes)
        writer.write(answer)

    server = Server(write if isinstance(answer, bytes) else answer, tls)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def making(
    policy: AddressPolicy = LOOPBACK, *, timeout_ms: int = 5000, max_connections: int = 512, ca_file: str | None = None
) -> AsyncIterator[HttpClient]:
    client = HttpClient(policy, timeout_ms=timeout_ms, max_connections=max_connections, ca_file=ca_file)
    try:
        yield client
    finally:
        client.close()


@pytest_asyncio.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with making() as made:
        yield made


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in libcurl or the kernel
            await asyncio.sleep(0.001)


def open_sockets(client: HttpClient) -> list[int]:
    """The client's idle connections that, as far as it has noticed, its peers have not closed."""
    return [number for number in client._sockets.idle() if stat.S_ISSOCK(os.fstat(number).st_mode)]


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


async def test_many_requests_share_connections_and_each_gets_its_own_answer(client: HttpClient) -> None:
    async def echo(writer: asyncio.StreamWriter, inbound: Inbound) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(inbound.body) + inbound.body)

    async with serving(echo) as server:
        answered: dict[int, bytes] = {}
        at_once = 20
        todo = iter(range(500))

        def begin() -> None:
            number = next(todo, None)
            if number is not None:
                request = Request(url=server.url(f"/{number % 7}"), body=b"body %d" % number)
                client.start(request, lambda response: end(number, response))

        def end(number: int, response: Response) -> None:
            answered[number] = response.body
            begin()

        for _ in range(at_once):
            begin()
        await until(lambda: len(answered) == 500)
        assert answered == {number: b"body %d" % number for number in range(500)}
        assert server.connections <= at_once
        assert (client.in_flight, client.waiting) == (0, 0)


async def test_done_is_never_called_from_within_start(client: HttpClient) -> None:
    answers: list[Response] = []
    for url in ("ftp://x/", "http://127.0.0.1:1/"):
        client.start(Request(url=url), answers.append)
    assert answers == []
    await until(lambda: len(answers) == 2)


async def test_a_callback_that_fails_does_not_stop_the_others(client: HttpClient) -> None:
    reported: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
    answers: list[Response] = []

    def fail(_response: Response) -> None:
        raise ValueError("mine")

    async with serving(FINE) as server:
        for number in range(6):
            client.start(Request(url=server.url()), fail if number % 2 else answers.append)
        await until(lambda: len(answers) == 3 and len(reported) == 3)
    assert [str(context["exception"]) for context in reported] == ["mine"] * 3


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


async def test_content_type_and_retry_after_come_in_lower_case(client: HttpClient) -> None:
    answer = b"HTTP/1.1 429 X\r\nCONTENT-TYPE: Text/Plain\r\nRETRY-AFTER: 3\r\nX-Other: y\r\nContent-Length: 0\r\n\r\n"
    async with serving(answer) as server:
        response = await client.send(Request(url=server.url()))
        assert response.headers == {"content-type": "Text/Plain", "retry-after": "3"}


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


async def test_garbage_behind_a_204_does_not_reach_the_next_answer(client: HttpClient) -> None:
    async with serving(NO_CONTENT + b"garbage\r\n\r\nHTTP/1.1 500 No\r\n\r\n") as server:
        for _ in range(3):
            response = await client.send(Request(url=server.url(), body=b"x"))
            assert (response.status, response.body, response.error) == (204, b"", "")
        assert len(server.requests) == 3


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


async def test_beyond_the_most_connections_requests_wait_in_order_and_their_time_does_not_run() -> None:
    async def slowly(writer: asyncio.StreamWriter, _inbound: Inbound) -> None:
        await asyncio.sleep(0.15)
        writer.write(FINE)

    async with serving(slowly) as server, making(max_connections=2, timeout_ms=400) as narrow:
        requests = [Request(url=server.url(f"/{number}"), body=b"%d" % number) for number in range(8)]
        answers = asyncio.gather(*[narrow.send(request) for request in requests])
        await asyncio.sleep(0)
        assert (narrow.in_flight, narrow.waiting) == (2, 6)
        assert [response.status for response in await answers] == [200] * 8
        assert [inbound.body for inbound in server.requests] == [b"%d" % number for number in range(8)]
        assert server.connections <= 2


async def test_a_cancelled_request_is_not_answered_and_makes_room() -> None:
    async def silent_on_stop(writer: asyncio.StreamWriter, inbound: Inbound) -> None:
        if inbound.body == b"stop":
            await asyncio.Event().wait()
        writer.write(FINE)

    async with serving(silent_on_stop) as server, making(max_connections=1) as narrow:
        answers: list[Response] = []
        first = narrow.start(Request(url=server.url(), body=b"stop"), answers.append)
        waiting = narrow.start(Request(url=server.url(), body=b"never"), answers.append)
        narrow.start(Request(url=server.url(), body=b"go"), answers.append)
        await until(lambda: len(server.requests) == 1)
        waiting.cancel()
        first.cancel()
        first.cancel()
        await until(lambda: len(answers) == 1)
        assert answers[0].status == 200
        assert [inbound.body for inbound in server.requests] == [b"stop", b"go"]
        assert (narrow.in_flight, narrow.waiting) == (0, 0)


async def test_cancelling_one_request_from_the_callback_of_another_never_mixes_their_answers(
    client: HttpClient,
) -> None:
    async def echo(writer: asyncio.StreamWriter, inbound: Inbound) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(inbound.body) + inbound.body)

    async with serving(echo) as server:
        answers: dict[str, bytes] = {}

        def first(response: Response) -> None:
            answers["first"] = response.body
            second.cancel()
            client.start(Request(url=server.url(), body=b"third"), lambda answer: answers.update(third=answer.body))

        for _ in range(20):
            answers.clear()
            client.start(Request(url=server.url(), body=b"first"), first)
            second = client.start(
                Request(url=server.url(), body=b"second"), lambda answer: answers.update(second=answer.body)
            )
            await until(lambda: "third" in answers)
            assert answers["first"] == b"first"
            assert answers["third"] == b"third"
            assert answers.get("second", b"second") == b"second"
        assert client.in_flight == 0


async def test_a_task_that_is_cancelled_drops_its_request(client: HttpClient) -> None:
    async def silent(_writer: asyncio.StreamWriter, _inbound: Inbound) -> None:
        await asyncio.Event().wait()

    async with serving(silent) as server:
        task = asyncio.create_task(client.send(Request(url=server.url(), body=b"x")))
        await until(lambda: len(server.requests) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert client.in_flight == 0


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def close_amid_traffic() -> list[Response]:
    """Make a client, use it, close it while requests are in flight and waiting. Returns what those were answered."""

    async def silent_on_stop(writer: asyncio.StreamWriter, inbound: Inbound) -> None:
        if inbound.body == b"stop":
            await asyncio.Event().wait()
        writer.write(FINE)

    answers: list[Response] = []
    async with serving(silent_on_stop) as server:
        client = HttpClient(LOOPBACK, max_connections=4)
        await asyncio.gather(*[client.send(Request(url=server.url(), body=b"x")) for _ in range(4)])
        for _ in range(6):
            client.start(Request(url=server.url(), body=b"stop"), answers.append)
        client.start(Request(url="http://x.invalid/"), answers.append)
        await until(lambda: len(server.requests) == 8)
        client.close()
        client.close()
    gc.collect()
    return answers


async def test_close_drops_what_is_in_flight_and_leaks_nothing() -> None:
    assert await close_amid_traffic() == []
    await asyncio.sleep(0.05)  # the loop's own descriptors are open now, and those of the server closed
    before = descriptors()
    for _ in range(3):
        assert await close_amid_traffic() == []
    await until(lambda: descriptors() <= before)


async def test_nothing_is_scheduled_once_all_is_answered() -> None:
    async with serving(FINE) as server, making(timeout_ms=300) as client:
        await asyncio.gather(*[client.send(Request(url=server.url(), body=b"x")) for _ in range(5)])
        server_tasks = set(server.tasks)
        await asyncio.sleep(0.4)  # what was set for the time-out has come due, and was not set again
        assert client._timer is None
        assert not client._nudged
        await server.stop()  # the idle connections are closed under us: one wake-up, then they are not watched
        await until(lambda: not server_tasks & server.tasks)
        await until(lambda: not open_sockets(client))
        assert select.select([client._sockets], [], [], 0)[0] == []


def certificate(folder: Path) -> tuple[ssl.SSLContext, str]:
    """A server context with a self-signed certificate for localhost, and the path of the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_path = folder / "key.pem"
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key_path)
    return context, str(path)


async def test_a_certificate_that_nobody_vouches_for_is_a_tls_error(client: HttpClient, tmp_path: Path) -> None:
    context, _ = certificate(tmp_path)
    async with serving(FINE, context) as server:
        response = await client.send(Request(url=server.url(host="localhost"), body=b"secret"))
        assert (response.status, response.error) == (0, "ETLS")
        assert server.requests == []


async def test_a_trusted_certificate_is_good_for_its_own_name_only(tmp_path: Path) -> None:
    context, path = certificate(tmp_path)
    async with serving(FINE, context) as server, making(ca_file=path) as trusting:
        for _ in range(3):
            assert (await trusting.send(Request(url=server.url(host="localhost"), body=b"x"))).status == 200
        assert server.connections == 1
        other = await trusting.send(Request(url=server.url(), body=b"x"))
        assert (other.status, other.error) == (0, "ETLS")


async def test_tls_spoken_to_a_plain_server_is_a_tls_error(client: HttpClient) -> None:
    async def no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    plain = await asyncio.start_server(no_tls, "127.0.0.1", 0)
    port = plain.sockets[0].getsockname()[1]
    response = await client.send(Request(url=f"https://127.0.0.1:{port}/"))
    plain.close()
    assert (response.status, response.error) == (0, "ETLS")


HIDDEN = [
    "127.0.0.1",
    "localhost",
    "0x7f.1",
    "127.1",
    "2130706433",
    "0177.0.0.1",
    "[::ffff:127.0.0.1]",
    "[::1]",
    "0.0.0.0",
]


@pytest.mark.parametrize("host", HIDDEN)
async def test_this_machine_is_refused_in_every_spelling(host: str) -> None:
    async with serving(FINE) as server, making(address_policy()) as strict:
        response = await strict.send(Request(url=server.url(host=host), body=b"x"))
        assert (response.status, response.error) == (0, "ADDRESS_REFUSED")
        assert server.connections == 0


async def test_the_metadata_service_is_refused() -> None:
    async with making(address_policy()) as strict:
        for host in ("169.254.169.254", "[fd00:ec2::254]", "[64:ff9b::a9fe:a9fe]", "10.0.0.1", "192.168.0.1"):
            response = await strict.send(Request(url=f"http://{host}/latest/meta-data"))
            assert response.error == "ADDRESS_REFUSED"


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/", "file:///etc/passwd", "http://u:p@127.0.0.1/", "//x", "http://a b/"]
)
async def test_a_url_of_another_kind_is_refused(client: HttpClient, url: str) -> None:
    assert await client.send(Request(url=url)) == Response(status=0, error="ADDRESS_REFUSED")


async def test_a_sandbox_is_reached_by_address_and_by_name_and_its_neighbour_is_not() -> None:
    async with serving(FINE) as sandbox, serving(FINE) as neighbour:
        strict = HttpClient(address_policy(sandboxes=[("127.0.0.1", sandbox.port)]))
        assert (await strict.send(Request(url=sandbox.url()))).status == 200
        assert (await strict.send(Request(url=sandbox.url(host="localhost")))).status == 200
        assert (await strict.send(Request(url=neighbour.url()))).error == "ADDRESS_REFUSED"
        strict.close()


async def test_a_host_allowed_by_name_is_not_reached_by_another_spelling() -> None:
    async with serving(FINE) as server:
        by_name = HttpClient(address_policy(allow_internal=f"localhost:{server.port}"))
        assert (await by_name.send(Request(url=server.url(host="LOCALHOST")))).status == 200
        assert (await by_name.send(Request(url=server.url()))).error == "ADDRESS_REFUSED"
        assert (await by_name.send(Request(url=server.url(host="localhost")))).status == 200
        by_name.close()


@pytest.mark.parametrize("listening", ["127.0.0.1", "0.0.0.0"])
async def test_the_collector_is_refused_although_everything_is_allowed(listening: str) -> None:
    async with serving(FINE) as collector:
        policy = address_policy(allow_internal="0.0.0.0/0,::/0", collectors=[(listening, collector.port)])
        async with making(policy) as client:
            for host in ("127.0.0.1", "localhost", "0x7f.1"):
                response = await client.send(Request(url=collector.url(host=host)))
                assert response.error in ("ADDRESS_REFUSED", "ECONNREFUSED")
        assert collector.connections == 0


def test_an_own_address_is_told_from_others() -> None:
    assert is_own_address("127.0.0.1")
    assert not is_own_address("192.0.2.1")
    assert not is_own_address("not an address")


async def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with serving(FINE) as server, making() as client:
        assert (await client.send(Request(url=server.url()))).status == 200


async def test_more_urls_than_handles_are_served_by_the_same_handles() -> None:
    async with serving(FINE) as server, making(max_connections=3) as narrow:
        responses = await asyncio.gather(
            *[narrow.send(Request(url=server.url(f"/{number}"), body=b"x")) for number in range(30)]
        )
        assert {response.status for response in responses} == {200}
        assert len(narrow._handles) <= 3
        assert len(narrow._free) <= 3
        assert sorted(int(inbound.head.split()[1][1:]) for inbound in server.requests) == list(range(30))


async def test_sockets_are_not_inherited_by_children(client: HttpClient) -> None:
    async with serving(FINE) as server:
        await client.send(Request(url=server.url()))
        assert open_sockets(client)
        assert [number for number in open_sockets(client) if os.get_inheritable(number)] == []
