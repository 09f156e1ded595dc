"""The HTTP client: many requests at once, in what order they begin, and how they end early."""

import asyncio
import gc
import select
from pathlib import Path

import pycurl
import pytest

from segue.core.destination import Request, Response
from segue.deliver.http import HttpClient
from tests.deliver.vendor import FINE, LOOPBACK, Inbound, making, open_sockets, serving, until


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
    assert len(client._handles) == 1


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


async def test_time_outs_beside_quick_answers_reach_everybody() -> None:
    async def quickly_or_never(writer: asyncio.StreamWriter, inbound: Inbound) -> None:
        if inbound.head.startswith("POST /quick"):
            writer.write(FINE)

    async with serving(quickly_or_never) as server, making(timeout_ms=7) as client:

        async def ask(path: str, times: int) -> set[str]:
            return {(await client.send(Request(url=server.url(path)))).error for _ in range(times)}

        async with asyncio.timeout(60):
            found = await asyncio.gather(
                *[ask("/never", 40) for _ in range(8)], *[ask("/quick", 200) for _ in range(4)]
            )
        assert found[:8] == [{"ETIMEDOUT"}] * 8


async def test_a_timer_that_is_due_at_once_can_be_set_again(client: HttpClient) -> None:
    client._due = asyncio.get_running_loop().time()
    client._set_timer()  # uvloop gives a handle that has no time
    client._set_timer()
    async with serving(FINE) as server:
        assert (await client.send(Request(url=server.url()))).status == 200


async def test_whoever_made_the_client_is_told_when_libcurl_is_broken() -> None:
    told: list[Exception] = []
    client = HttpClient(LOOPBACK, broken=told.append)
    client._multi.close()  # as after an error inside: every call of it fails from now on
    client.start(Request(url="http://127.0.0.1:9/"), lambda _: None)
    assert [type(error) for error in told] == [pycurl.error]
    client.close()
    client.close()


async def test_more_urls_than_handles_are_served_by_the_same_handles() -> None:
    async with serving(FINE) as server, making(max_connections=3) as narrow:
        responses = await asyncio.gather(
            *[narrow.send(Request(url=server.url(f"/{number}"), body=b"x")) for number in range(30)]
        )
        assert {response.status for response in responses} == {200}
        assert len(narrow._handles) <= 3
        assert len(narrow._free) <= 3
        assert sorted(int(inbound.head.split()[1][1:]) for inbound in server.requests) == list(range(30))
