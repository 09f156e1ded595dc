from __future__ import annotations

import gzip
import http.client
import json
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from segue.collect.limits import CollectLimits

from .rig import Gate, Served, served, track

LIMITS = CollectLimits(
    header_seconds=0.25, body_seconds=0.25, keep_alive_seconds=30, header_bytes=4096, body_bytes=600_000
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("served"), limits=LIMITS) as found:
        yield found


def all_of(sock: socket.socket) -> bytes:
    """Everything until the server closes."""
    found = b""
    while piece := sock.recv(65536):
        found += piece
    return found


def one_answer(sock: socket.socket) -> tuple[int, Any]:
    """One answer; the connection stays open."""
    answer = http.client.HTTPResponse(sock)
    answer.begin()
    return answer.status, json.loads(answer.read())


def request(body: bytes, *headers: str, path: str = "/v1/track", length: bool = True) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: h", "X-Write-Key: wk", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


EVENT = json.dumps(track()).encode()


def test_a_client_that_says_nothing_is_told_408_and_cut(server: Served) -> None:
    with server.connect() as sock:
        answer = all_of(sock)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "request_timeout"


def test_slow_headers_are_told_408_and_cut(server: Served) -> None:
    with server.connect() as sock:
        sock.sendall(b"POST /v1/track HTTP/1.1\r\nHost: h\r\nX-")
        assert all_of(sock).startswith(b"HTTP/1.1 408 ")


def test_a_slow_body_is_told_408_and_cut_and_nothing_is_kept(server: Served) -> None:
    with server.connect() as sock:
        sock.sendall(request(EVENT, "X-Pad: 1")[:-5])
        answer = all_of(sock)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answer


def test_a_slow_chunked_body_is_told_408(server: Served) -> None:
    with server.connect() as sock:
        sock.sendall(request(b"", "Transfer-Encoding: chunked", length=False) + b"5\r\n{")
        assert all_of(sock).startswith(b"HTTP/1.1 408 ")


def test_a_chunked_body_is_taken(server: Served) -> None:
    with server.connect() as sock:
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(EVENT[i : i + 9]), EVENT[i : i + 9]) for i in range(0, len(EVENT), 9))
        sock.sendall(request(b"", "Transfer-Encoding: chunked", length=False) + chunks + b"0\r\n\r\n")
        assert one_answer(sock) == (200, {"success": True})


def test_a_connection_serves_many_requests_also_pipelined(server: Served) -> None:
    with server.connect() as sock:
        sock.sendall(request(EVENT))
        assert one_answer(sock)[0] == 200
        sock.sendall(request(EVENT) + request(b"[]") + request(EVENT))
        file = sock.makefile("rb")
        codes = []
        for _ in range(3):
            codes.append(int(file.readline().split()[1]))
            length = 0
            while (line := file.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            file.read(length)
        assert codes == [200, 400, 200]


def test_what_follows_a_request_and_is_no_http_does_not_cost_its_answer(server: Served) -> None:
    with server.connect() as sock:
        sock.sendall(request(EVENT) + b"\x00garbage\r\n\r\n")
        answers = all_of(sock)
    assert answers.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"GET /\xff\xfe HTTP/1.1\r\nHost: h\r\n\r\n"]
)
def test_what_is_no_http_is_told_400(server: Served, sent: bytes) -> None:
    with server.connect() as sock:
        sock.sendall(sent)
        assert b" 400 " in all_of(sock).partition(b"\r\n")[0]


@pytest.mark.parametrize("pad", [b"X-Pad: " + b"x" * 5000 + b"\r\n", b"".join(b"X-%d: 1\r\n" % i for i in range(900))])
def test_headers_over_the_cap_are_told_431(server: Served, pad: bytes) -> None:
    with server.connect() as sock:
        sock.sendall(b"POST /v1/track HTTP/1.1\r\nHost: h\r\n" + pad)
        assert all_of(sock).startswith(b"HTTP/1.1 431 ")


def test_headers_over_the_cap_are_told_431_also_when_they_come_whole(server: Served) -> None:
    with server.connect() as sock:
        sock.sendall(request(EVENT, "X-Pad: " + "x" * 5000))
        assert all_of(sock).startswith(b"HTTP/1.1 431 ")


def test_a_request_behind_a_large_one_is_not_taken_for_large_headers(server: Served) -> None:
    with server.connect() as sock:
        first = json.dumps(track(properties={"pad": "x" * 20_000})).encode()
        second = request(EVENT)
        sock.sendall(request(first) + second[:30])
        assert one_answer(sock)[0] == 200
        sock.sendall(second[30:])
        assert one_answer(sock)[0] == 200


def test_chunks_that_are_mostly_framing_are_cut_off(server: Served) -> None:
    with server.connect() as sock:
        head = request(b"", "Transfer-Encoding: chunked", length=False)
        try:
            sock.sendall(head + (b"1;" + b"x" * 60_000 + b"\r\nx\r\n") * 20)
            answer = all_of(sock)
        except (ConnectionResetError, BrokenPipeError):
            return
        assert not answer or answer.startswith(b"HTTP/1.1 413 ")


def test_a_body_over_the_cap_is_told_413_at_once_and_cut(server: Served) -> None:
    with server.connect() as sock:
        sock.sendall(b"POST /v1/batch HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n\r\n")
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        assert (answer.status, json.loads(answer.read())["code"]) == (413, "payload_too_large")
        # The rest may be sent without losing the answer; then the connection ends.
        sock.sendall(b"x" * 900_000)
        assert sock.recv(1) == b""


def test_a_large_body_sent_at_once_still_reads_413(server: Served) -> None:
    reply = requests.post(f"{server.url}/v1/batch", data=b"x" * 2_000_000, timeout=10)
    assert (reply.status_code, reply.json()["code"]) == (413, "payload_too_large")


def test_a_gzip_bomb_is_told_413(server: Served) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    reply = requests.post(f"{server.url}/v1/batch", data=bomb, headers={"Content-Encoding": "gzip"}, timeout=10)
    assert reply.status_code == 413


def test_expect_100_continue_is_answered_before_the_body(server: Served) -> None:
    with server.connect() as sock:
        message = request(EVENT, "Expect: 100-continue")
        head, _, body = message.partition(b"\r\n\r\n")
        sock.sendall(head + b"\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 100 ")
        sock.sendall(body)
        assert one_answer(sock)[0] == 200


def test_an_offer_to_upgrade_is_passed_over(server: Served) -> None:
    """Java's client offers h2c with every request."""
    with server.connect() as sock:
        sock.sendall(request(EVENT, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAA"))
        assert one_answer(sock)[0] == 200


def test_a_head_request_has_the_headers_of_a_get(server: Served) -> None:
    url = f"{server.url}/v1/projects/wk/settings"
    head, get = requests.head(url, timeout=10), requests.get(url, timeout=10)
    assert head.status_code == 200 and head.content == b""
    assert head.headers["Content-Length"] == str(len(get.content))
    assert get.json()["integrations"]["Segment.io"]["apiHost"] == f"127.0.0.1:{server.port}/v1"


def test_a_path_with_escapes_is_read(server: Served) -> None:
    reply = requests.get(f"{server.url}/v1/projects/w%6B/settings", timeout=10)
    assert reply.status_code == 200


def test_a_browsers_preflight_and_request(server: Served) -> None:
    reply = requests.options(
        f"{server.url}/v1/t",
        headers={
            "Origin": "https://shop.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        },
        timeout=10,
    )
    assert reply.status_code == 204
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    reply = requests.post(
        f"{server.url}/v1/t", data=EVENT, headers={"Origin": "https://shop.example", "Content-Type": "text/plain"},
        auth=("wk", ""), timeout=10,
    )  # fmt: skip
    assert (reply.status_code, reply.headers["Access-Control-Allow-Origin"]) == (200, "*")


def test_connections_over_the_cap_are_told_503_and_then_cut(tmp_path: Path) -> None:
    with served(tmp_path, limits=CollectLimits(connections=2)) as server:
        kept = [server.connect() for _ in range(2)]
        for sock in kept:
            sock.sendall(request(EVENT))
            assert one_answer(sock)[0] == 200
        with server.connect() as further:
            further.sendall(request(EVENT))
            answer = all_of(further)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 1\r\n" in answer
        crowd = [server.connect() for _ in range(110)]
        assert crowd[-1].recv(1) == b""
        for sock in crowd:
            sock.close()
        # A place that becomes free is given again.
        kept.pop().close()
        for _ in range(200):
            with server.connect() as further:
                further.sendall(request(EVENT, "Connection: close"))
                if all_of(further).startswith(b"HTTP/1.1 200 "):
                    break
        else:
            raise AssertionError("no place became free")
        assert server.rig.metrics.refused_connections >= 11
        kept.pop().close()


def test_an_idle_connection_is_closed_after_its_time(tmp_path: Path) -> None:
    with served(tmp_path, limits=CollectLimits(keep_alive_seconds=0.1)) as server, server.connect() as sock:
        sock.sendall(request(EVENT))
        assert one_answer(sock)[0] == 200
        assert sock.recv(1) == b""


def half_closed(server: Served, sent: bytes, gate: Gate) -> socket.socket:
    """A connection whose peer has sent this and its end; the server has seen both, and what is whole waits."""
    sock = server.connect()
    sock.sendall(sent)
    assert gate.begun.wait(10)
    sock.shutdown(socket.SHUT_WR)
    for _ in range(2):  # the loop has come round since
        assert requests.post(f"{server.url}/v1/track", data=b"[]", timeout=10).status_code == 400
    return sock


@pytest.mark.parametrize("ahead", [b"", request(EVENT), b"POST /v1/tr", request(EVENT) + b"POST /v1/tr"])
def test_who_ends_its_side_after_a_request_still_gets_the_answer(tmp_path: Path, ahead: bytes) -> None:
    gates: list[Gate] = []

    def gated(log: Any) -> Any:
        gates.append(Gate(log))
        return gates[0]

    with served(tmp_path, around_log=gated) as server, half_closed(server, request(EVENT) + ahead, gates[0]) as sock:
        gates[0].open.set()
        answers = all_of(sock)
    assert answers.count(b"HTTP/1.1 200 ") == answers.count(b'{"success": true}') == 1 + ahead.count(EVENT)


def test_who_goes_away_after_a_request_leaves_no_traceback(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gates: list[Gate] = []

    def gated(log: Any) -> Any:
        gates.append(Gate(log))
        return gates[0]

    with served(tmp_path, around_log=gated) as server:
        for reset in (False, True):
            sock = half_closed(server, request(EVENT), gates[0])
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        gates[0].open.set()
        assert requests.post(f"{server.url}/v1/track", data=EVENT, auth=("wk", ""), timeout=10).status_code == 200
    assert caplog.records == []


def test_who_ends_its_side_within_a_request_or_between_two_is_cut_at_once(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        for sent in (b"", b"POST /v1/tr", request(EVENT)[:-5]):
            with server.connect() as sock:
                sock.sendall(sent)
                sock.shutdown(socket.SHUT_WR)
                assert all_of(sock) == b""
        with server.connect() as sock:
            sock.sendall(request(EVENT))
            assert one_answer(sock)[0] == 200
            sock.shutdown(socket.SHUT_WR)
            assert all_of(sock) == b""


def test_closing_finishes_the_requests_in_flight(tmp_path: Path) -> None:
    gates: list[Gate] = []
    replies: list[int] = []

    def gated(log: Any) -> Any:
        gates.append(Gate(log))
        return gates[0]

    with served(tmp_path, around_log=gated) as server:
        idle = server.connect()

        def post() -> None:
            replies.append(requests.post(f"{server.url}/v1/track", data=EVENT, auth=("wk", ""), timeout=10).status_code)

        thread = threading.Thread(target=post)
        thread.start()
        assert gates[0].begun.wait(10)
        threading.Timer(0.2, gates[0].open.set).start()
    thread.join()
    assert replies == [200]
    assert idle.recv(1) == b""
    idle.close()


def test_no_request_of_these_logged_a_traceback(server: Served, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("ERROR"):
        for body in (b"", b"[]", b"\xff", b"{" * 5000):
            requests.post(f"{server.url}/v1/batch", data=body, timeout=10)
    assert caplog.records == []
