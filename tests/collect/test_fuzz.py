"""Whatever is sent: an answer below 500, no traceback, and each event of a 200 in exactly one place."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import socket
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segue.collect.limits import CollectLimits

from .rig import Rig, Served, call, served
from .test_parse import JSON

PATHS = [
    "/v1/track",
    "/v1/t",
    "/v1/identify",
    "/v1/page",
    "/v1/alias",
    "/v1/g",
    "/v1/batch",
    "/v1/b",
    "/v1/import",
    "/v1/m",
    "/v1/pixel/track",
    "/v1/pixel/x",
    "/v1/pixel/",
    "/v1/projects/wk/settings",
    "/projects/\ud83d/settings",
    "/",
    "",
    "//",
]
METHODS = ["POST", "GET", "HEAD", "OPTIONS", "PUT", "BREW"]
NAMES = [
    "userId",
    "anonymousId",
    "type",
    "event",
    "timestamp",
    "sentAt",
    "messageId",
    "context",
    "integrations",
    "properties",
    "traits",
    "batch",
    "writeKey",
    "originalTimestamp",
    "receivedAt",
    "name",
    "groupId",
    "previousId",
]
TEXTS = st.sampled_from(
    [
        "u",
        "",
        "track",
        "alias",
        "Segment Consent Preference Updated",
        "2026-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "wk",
        "sk",
        "\0",
    ]
)
EVENTS = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), TEXTS | JSON, max_size=8)
OBJECTS = EVENTS | st.fixed_dictionaries(
    {"batch": st.lists(EVENTS | JSON, max_size=4)},
    optional={"context": JSON | EVENTS, "integrations": JSON, "sentAt": JSON | TEXTS, "writeKey": TEXTS | JSON},
)
TOKENS = st.lists(
    st.sampled_from(
        [
            b"{",
            b"}",
            b"[",
            b"]",
            b'"batch":',
            b'"userId":',
            b'"u"',
            b",",
            b"1e999",
            b"NaN",
            b"null",
            b"\\ud83d",
            b'"\\ud83d"',
            b"\xff",
            b"\0",
            b'"\\u0000"',
            b'{"a":' * 300,
            b"[" * 1200,
            b'"',
            b"\\",
            b"-",
            b" ",
        ]
    ),
    max_size=20,
).map(b"".join)
BODIES = OBJECTS.map(lambda value: json.dumps(value).encode()) | TOKENS | st.binary(max_size=200)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "authorization",
                "content-encoding",
                "content-length",
                "x-forwarded-for",
                "host",
                "x-write-key",
                "x-forwarded-proto",
                "content-type",
            ]
        ),
        st.sampled_from(
            [
                "Basic d2s6",
                "Basic",
                "Bearer x",
                "gzip",
                "deflate",
                "br",
                "-1",
                "5",
                "9" * 30,
                "1.2.3.4, ::1",
                "wk",
                "sk",
                "ok",
                "https",
                "h:1",
                "\xff",
            ]
        ),
    ),
    max_size=4,
)


class Seen(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(METHODS) | st.just("POST"),
    st.sampled_from(PATHS) | st.just("/v1/batch"),
    st.lists(BODIES, min_size=1, max_size=2),
    HEADERS,
    st.binary(max_size=60) | st.sampled_from([b"data=e30", b"data=%ff", b"a.b=1&a=2&a.b.c=3", b"writeKey=wk&userId=u"]),
    st.booleans(),
)
def test_no_input_makes_the_application_fail(
    tmp_path_factory: pytest.TempPathFactory,
    method: str,
    path: str,
    chunks: list[bytes],
    headers: list[tuple[str, str]],
    query: bytes,
    pack: bool,
) -> None:
    if pack:
        chunks = [gzip.compress(b"".join(chunks))]
        headers = [*headers, ("content-encoding", "gzip")]

    async def run() -> None:
        rig = fuzzed(tmp_path_factory)
        before = (rig.metrics.accepted + rig.metrics.duplicates + rig.metrics.dropped.total(), len(rig.commits))
        async with asyncio.timeout(5):
            reply = await call(rig.app, method, path, chunks, headers, query)
        assert reply is not None and reply.status < 500
        after = rig.metrics.accepted + rig.metrics.duplicates + rig.metrics.dropped.total()
        if reply.status == 200 and path in ("/v1/batch", "/v1/b", "/v1/track") and method == "POST":
            assert after > before[0]
        elif reply.status != 200 and reply.status != 400:
            assert after == before[0]

    with structlog.testing.capture_logs() as lines:
        LOOP.run_until_complete(run())
    assert lines == []


LOOP = asyncio.new_event_loop()
_RIGS: list[Rig] = []


def fuzzed(folders: pytest.TempPathFactory) -> Rig:
    """One collector for all examples; its rate is not what is tested."""
    if not _RIGS:
        limits = CollectLimits(requests_per_second=0, body_bytes=100_000)
        _RIGS.append(Rig(folders.mktemp("fuzz"), limits=limits))
    return _RIGS[0]


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    yield
    for rig in _RIGS:
        LOOP.run_until_complete(rig.aclose())
    LOOP.close()


def test_all_that_was_accepted_while_fuzzing_can_be_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    rig = fuzzed(tmp_path_factory)
    rig.events()
    assert sum(n for codes in rig.quarantine.counts().values() for n in codes.values()) == rig.metrics.dropped.total()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    limits = CollectLimits(header_seconds=0.05, body_seconds=0.05, header_bytes=4096, body_bytes=50_000)
    with served(tmp_path_factory.mktemp("wire"), limits=limits) as found:
        yield found


WIRE = st.lists(
    st.sampled_from(
        [
            b"POST /v1/track HTTP/1.1\r\n",
            b"GET /v1/pixel/track?data=%ff HTTP/1.1\r\n",
            b"OPTIONS * HTTP/1.1\r\n",
            b"POST http://h/v1/b HTTP/1.0\r\n",
            b"CONNECT h:1 HTTP/1.1\r\n",
            b"Host: h\r\n",
            b"Content-Length: 5\r\n",
            b"Content-Length: 0\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Connection: close\r\n",
            b"Expect: 100-continue\r\n",
            b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
            b"\r\n",
            b"\r\n\r\n",
            b'5\r\n{"a":\r\n',
            b"0\r\n\r\n",
            b"{}",
            b"\0",
            b"HEAD / HTTP/1.1\r\n",
            b"X: " + b"y" * 3000 + b"\r\n",
            b"GET //[ HTTP/1.1\r\n",
        ]
    )
    | st.binary(max_size=20),
    min_size=1,
    max_size=8,
).map(b"".join)


@settings(max_examples=60, deadline=None)
@given(wire=WIRE)
def test_no_bytes_on_the_wire_make_the_server_fail(server: Served, wire: bytes) -> None:
    seen = Seen()
    logging.getLogger().addHandler(seen)
    try:
        with server.connect() as sock:
            sock.sendall(wire)
            sock.shutdown(socket.SHUT_WR)
            answer = b""
            try:
                while piece := sock.recv(65536):
                    answer += piece
            except ConnectionResetError:
                pass
        assert b"HTTP/1.1 5" not in answer
    finally:
        logging.getLogger().removeHandler(seen)
    assert [record.getMessage() for record in seen.records] == []


def test_the_server_still_answers_after_all_that(server: Served) -> None:
    import requests

    assert requests.get(f"{server.url}/projects/wk/settings", timeout=10).status_code == 200
