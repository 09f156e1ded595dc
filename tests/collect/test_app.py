from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from segue.collect.answer import GIF_BYTES
from segue.collect.auth import SourceKeys
from segue.collect.limits import CollectLimits
from segue.core.event import CALL_TYPES

from .rig import NOW_ISO, PEER, SOURCES, Rig, basic, call, track
from .test_intake import GOOD


@pytest.mark.parametrize("kind", CALL_TYPES)
async def test_each_call_has_its_path_and_its_letter(rig: Rig, kind: str) -> None:
    event = {key: value for key, value in GOOD[kind].items() if key != "type"}
    for path in (f"/v1/{kind}", f"/v1/{kind[0]}"):
        reply = await rig.post(path, event)
        assert (reply.status, reply.body) == (200, b'{"success": true}')
    assert [event["type"] for event in rig.events()] == [kind, kind]


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/b", "/v1/import", "/v1/batch/", "//v1/batch"])
async def test_every_batch_path_takes_a_batch(rig: Rig, path: str) -> None:
    assert (await rig.post(path, {"batch": [track(), GOOD["page"]]})).status == 200
    assert len(rig.events()) == 2


async def test_a_commit_tells_the_ends_of_the_log(rig: Rig) -> None:
    await rig.batch(track(messageId="m"), track(messageId="m"), track())
    assert rig.commits[-1] == (2, {"website": (2, 1)})
    assert (rig.metrics.accepted, rig.metrics.duplicates) == (2, 1)


async def test_metrics_of_the_sdk_are_accepted_and_ignored(rig: Rig) -> None:
    assert (await rig.post("/v1/m", {"series": []})).status == 200
    assert (await rig.post("/v1/m", b"not json")).status == 200
    assert rig.events() == [] and rig.drops() == []


KEYS = [
    ([basic("wk")], {}, "website"),
    ([("Authorization", "Basic d2s=")], {}, "website"),  # no colon
    ([("Authorization", "basic   d2s6")], {}, "website"),
    ([("Authorization", "Bearer token")], {"writeKey": "wk"}, "website"),
    ([], {"writeKey": "wk-old"}, "website"),
    ([("X-Write-Key", "wk")], {}, "website"),
    ([basic("wk")], {"writeKey": "sk"}, "website"),
    ([basic("proxy-user")], {"writeKey": "wk"}, "website"),
    ([("Authorization", "Basic ???")], {"writeKey": "wk"}, "website"),
    ([], {}, ""),
    ([basic("nobody")], {}, ""),
    ([], {"writeKey": 5}, ""),
]


@pytest.mark.parametrize(("headers", "fields", "source"), KEYS)
async def test_a_write_key_may_come_in_every_form(
    rig: Rig, headers: list[tuple[str, str]], fields: dict[str, Any], source: str
) -> None:
    assert (await rig.post("/v1/track", track(**fields), *headers, key=None)).status == 200
    assert (await rig.post("/v1/batch", {"batch": [track()], **fields}, *headers, key=None)).status == 200
    assert [record.source for record in rig.reader.read(0, 0, 10)] == ([source] * 2 if source else [])
    assert [(drop.source, drop.code) for drop in rig.drops()] == ([] if source else [("", "unknown_source")] * 2)


async def test_a_strangers_events_are_each_counted(rig: Rig) -> None:
    await rig.batch(track(messageId="a"), track(), 5, key="nobody")
    assert rig.quarantine.counts() == {"": {"unknown_source": 3}}
    assert rig.drops()[0].message_id == "a"


async def test_events_of_a_disabled_source_are_dropped(rig: Rig) -> None:
    assert (await rig.batch(track(), track(), key="ok")).status == 200
    assert (await rig.post("/v1/track", track(), key="ok")).status == 200
    assert rig.quarantine.counts() == {"off": {"source_disabled": 3}}


async def test_strict_keys_answers_401_for_an_unknown_key(tmp_path: Path) -> None:
    rig = Rig(tmp_path, strict_keys=True)
    reply = await rig.post("/v1/track", track(), key="nobody")
    assert (reply.status, reply.json["code"]) == (401, "unknown_source")
    assert "www-authenticate" in reply.headers
    assert (await rig.post("/v1/track", track())).status == 200
    assert rig.drops() == []
    await rig.aclose()


async def test_new_keys_hold_from_the_next_request(rig: Rig) -> None:
    rig.app.keys = SourceKeys(SOURCES[1:])
    await rig.post("/v1/track", track())
    assert rig.quarantine.counts() == {"": {"unknown_source": 1}}


async def test_a_strict_source_is_told_what_was_rejected_and_the_rest_is_accepted(rig: Rig) -> None:
    reply = await rig.batch(track(), track(userId=5, messageId="m"), track(), {"type": "x"}, key="sk")
    assert reply.status == 400
    assert reply.json["code"] == "events_rejected"
    assert reply.json["message"] == "2 of 4 events were rejected; the others are accepted"
    assert reply.json["accepted"] == 2 == len(rig.events())
    rejected = [(it["index"], it["messageId"], it["code"]) for it in reply.json["rejected"]]
    assert rejected == [(1, "m", "id_not_string"), (3, None, "type_unknown")]
    assert all(it["message"] for it in reply.json["rejected"])
    assert rig.quarantine.counts() == {"strict": {"id_not_string": 1, "type_unknown": 1}}


async def test_a_strict_source_is_told_success_where_all_is_well(rig: Rig) -> None:
    assert (await rig.batch(track(), key="sk")).json == {"success": True}


async def test_a_strict_source_is_told_the_reason_of_a_single_event(rig: Rig) -> None:
    reply = await rig.post("/v1/track", {"userId": "u"}, key="sk")
    assert (reply.status, reply.json["code"], reply.json["accepted"]) == (400, "event_not_defined", 0)
    assert reply.json["message"] == "A track call has no event name. Name the event."


async def test_a_strict_source_is_told_of_many_rejections_in_bounded_length(tmp_path: Path) -> None:
    rig = Rig(tmp_path, limits=CollectLimits(rejections_told=3))
    reply = await rig.batch(*[1] * 5, key="sk")
    assert (len(reply.json["rejected"]), reply.json["omitted"]) == (3, 2)
    assert (reply.json["code"], reply.json["message"]) == ("event_not_object", "all 5 events were rejected")
    await rig.aclose()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"[]", "not_an_object"),
        (b'{"userId":"\xff"}', "invalid_utf8"),
        (b'{"userId":NaN}', "invalid_json"),
        (b'{"a":' + b"[" * 3000 + b"]" * 3000 + b"}", "nested_too_deep"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch"])
async def test_a_body_that_is_not_one_json_object_is_400(rig: Rig, path: str, body: bytes, code: str) -> None:
    reply = await rig.post(path, body)
    assert (reply.status, reply.json["code"]) == (400, code)
    assert reply.json["message"]


async def test_half_a_surrogate_pair_is_replaced_wherever_it_is_sent(rig: Rig) -> None:
    event = {**track(), "a": "\ud83d", "\ud83d": 1}
    await rig.post("/v1/track", event)
    await rig.batch(event)
    await rig.post("/v1/track", event, key="nobody")
    await rig.post("/v1/batch", {"batch": [], "a": "\ud83d"})
    assert [event["a"] for event in rig.events()] == ["\ufffd", "\ufffd"]
    assert [drop.code for drop in rig.drops()] == ["unknown_source", "empty_batch"]


@pytest.mark.parametrize("batch", [None, 5, "x", {}, []])
async def test_a_batch_without_events_is_200_and_one_drop(rig: Rig, batch: Any) -> None:
    assert (await rig.post("/v1/batch", {"batch": batch})).status == 200
    assert rig.quarantine.counts() == {"website": {"empty_batch": 1}}


def padded(size: int, wrap: str) -> bytes:
    event = json.dumps(track(messageId="m", properties={"pad": ""}))
    head, tail = (wrap % event).split('"pad": "')
    return (head + '"pad": "' + "x" * (size - len(head) - len(tail) - 8) + tail).encode()


@pytest.mark.parametrize(("size", "status"), [(32_768, 200), (32_769, 400)])
async def test_a_single_event_may_have_32_kb(rig: Rig, size: int, status: int) -> None:
    reply = await rig.post("/v1/track", padded(size, "%s"))
    assert reply.status == status
    if status == 400:
        assert reply.json["code"] == "payload_too_large"


@pytest.mark.parametrize(("size", "status"), [(512_000, 200), (512_001, 400)])
async def test_a_batch_may_have_500_kb_after_inflating(rig: Rig, size: int, status: int) -> None:
    body = padded(size, '{"batch": [' + "%s" + "]}")
    for content, headers in ((body, ()), (gzip.compress(body), (("Content-Encoding", "gzip"),))):
        assert (await rig.post("/v1/batch", content, *headers)).status == status


async def test_a_batch_of_more_than_2500_events_is_accepted(rig: Rig) -> None:
    assert (await rig.batch(*[{"type": "track", "userId": "u", "event": "e"}] * 3000)).status == 200
    assert len(rig.events()) == 3000


async def test_what_a_batch_says_of_all_its_events_may_not_swell_them_without_end(rig: Rig) -> None:
    reply = await rig.post("/v1/batch", {"batch": [0] * 1000, "context": {"a": "x" * 10_000}})
    assert (reply.status, reply.json["code"]) == (400, "payload_too_large")


@pytest.mark.parametrize(
    ("head", "code"),
    [
        ({"context": 5}, "context_not_object"),
        ({"integrations": []}, "integrations_not_object"),
        ({"context": {"a": json.loads("[" * 240 + "]" * 240)}}, "nested_too_deep"),
    ],
)
async def test_a_broken_context_of_the_batch_drops_its_events(rig: Rig, head: Any, code: str) -> None:
    assert (await rig.post("/v1/batch", {"batch": [track(), track()], **head})).status == 200
    assert rig.quarantine.counts() == {"website": {code: 2}}


@pytest.mark.parametrize(
    ("pack", "encoding"),
    [
        (gzip.compress, "gzip"),
        (gzip.compress, "X-GZIP"),
        (zlib.compress, "deflate"),
        (bytes, "identity"),
        (lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:]), "gzip"),
    ],
)
async def test_a_packed_body_is_unpacked_by_its_content_encoding(rig: Rig, pack: Any, encoding: str) -> None:
    body = json.dumps({"batch": [track()]}).encode()
    reply = await rig.post(
        "/v1/batch", pack(body), ("Content-Encoding", encoding), ("Content-Type", "application/x-www-form-urlencoded")
    )
    assert reply.status == 200
    assert len(rig.events()) == 1


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"{}", "gzip", 400),
        (gzip.compress(b"{}")[:-4], "gzip", 400),
        (gzip.compress(b"") * 65, "gzip", 400),
        (b"{}", "br", 415),
        (gzip.compress(b" " * 2_000_000), "gzip", 413),
        (gzip.compress(b" " * 600_000) * 2, "gzip", 413),
    ],
    ids=["no gzip", "cut", "too many members", "unknown encoding", "bomb", "bomb in members"],
)
async def test_a_body_that_cannot_be_unpacked_is_refused(rig: Rig, body: bytes, encoding: str, status: int) -> None:
    reply = await rig.post("/v1/batch", body, ("Content-Encoding", encoding))
    assert reply.status == status
    assert set(reply.json) == {"code", "message"}


async def test_a_body_over_the_cap_is_413_and_the_connection_closes(rig: Rig) -> None:
    chunks = [b"x" * 600_000, b"x" * 600_000, b"x" * 600_000]
    reply = await call(rig.app, "POST", "/v1/batch", chunks, [basic("wk")])
    assert reply is not None
    assert (reply.status, reply.headers["connection"]) == (413, "close")
    reply = await call(rig.app, "POST", "/v1/batch", [b""], [basic("wk"), ("Content-Length", "99999999999999")])
    assert reply is not None and reply.status == 413


async def test_a_client_that_goes_away_gets_no_answer_and_leaves_nothing(rig: Rig) -> None:
    assert await call(rig.app, "POST", "/v1/track", [b'{"userId"'], [basic("wk")], cut=True) is None
    assert await call(rig.app, "POST", "/v1/m", [b"x"], cut=True) is None
    assert await call(rig.app, "POST", "/v1/pixel/track", [b"x"], cut=True) is None
    assert rig.events() == [] and rig.drops() == []


async def test_bodies_of_all_connections_together_are_bounded(tmp_path: Path) -> None:
    rig = Rig(tmp_path, limits=CollectLimits(body_bytes_in_flight=1000))
    reply = await call(rig.app, "POST", "/v1/batch", [b"x" * 600, b"x" * 600], [basic("wk")])
    assert reply is not None
    assert (reply.status, reply.json["code"], reply.headers["retry-after"]) == (503, "overloaded", "1")
    body = json.dumps(track()).encode()
    assert (await call(rig.app, "POST", "/v1/t", [body[:9], body[9:]], [basic("wk")])).status == 200  # type: ignore[union-attr]
    await rig.aclose()


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[Rig]:
    """One request with each key, the next after two seconds."""
    rig = Rig(tmp_path, limits=CollectLimits(requests_per_second=0.5))
    yield rig
    await rig.aclose()


async def test_over_the_rate_of_a_write_key_the_answer_is_429_and_says_when_to_go_on(slow: Rig) -> None:
    assert (await slow.post("/v1/track", track())).status == 200
    reply = await slow.post("/v1/track", track())
    assert (reply.status, reply.json["code"]) == (429, "rate_limited")
    assert reply.json["message"] == "over 0.5 requests a second with this write key; slow down"
    assert reply.headers["retry-after"] == reply.headers["x-ratelimit-reset"] == "2"
    slow.clock.now += 2000
    assert (await slow.post("/v1/track", track())).status == 200


async def test_two_write_keys_of_one_source_do_not_share_a_rate(slow: Rig) -> None:
    assert (await slow.post("/v1/track", track())).status == 200
    assert (await slow.post("/v1/track", track(), key="wk-old")).status == 200
    assert (await slow.post("/v1/batch", {"batch": [], "writeKey": "wk-old"}, key=None)).status == 429
    assert (await slow.post("/v1/track", track(), ("X-Write-Key", "wk"), key=None)).status == 429


async def test_it_is_the_key_that_a_source_has_whose_rate_counts(slow: Rig) -> None:
    for n, status in enumerate((200, 429, 429)):
        reply = await slow.post("/v1/track", track(writeKey="wk"), ("X-Write-Key", f"made-up-{n}"), key=f"proxy-{n}")
        assert reply.status == status


async def test_all_unknown_write_keys_share_one_rate_and_none_is_remembered(slow: Rig) -> None:
    assert (await slow.post("/v1/track", track(), key="nobody")).status == 200
    for n in range(50):
        reply = await slow.post("/v1/track", track(), key=f"made-up-{n}")
        assert (reply.status, reply.headers["retry-after"]) == (429, "2")
    assert reply.json["message"].startswith("over 0.5 requests a second with unknown write keys together")
    assert list(slow.app._events._rate._buckets) == [""]
    assert (await slow.post("/v1/track", track())).status == 200


async def test_on_a_full_disk_the_answer_is_503_until_there_is_room(rig: Rig) -> None:
    rig.disk_ok = lambda: False
    reply = await rig.post("/v1/track", track())
    assert (reply.status, reply.json["code"]) == (503, "disk_full")
    assert int(reply.headers["retry-after"]) > 0
    rig.disk_ok = lambda: True
    assert (await rig.post("/v1/track", track())).status == 200
    assert len(rig.events()) == 1


async def test_cors_lets_any_page_send_without_credentials(rig: Rig) -> None:
    for path in ("/v1/t", "/v1/batch", "/v1/projects/wk/settings", "/projects/wk/settings", "/v1/pixel/track"):
        reply = await call(rig.app, "OPTIONS", path, headers=[("Origin", "https://shop.example")])
        assert reply is not None and reply.status == 204
        assert reply.headers["access-control-allow-origin"] == "*"
        allowed = set(reply.headers["access-control-allow-headers"].split(", "))
        assert allowed >= {"authorization", "content-type", "x-retry-count", "anonymousid", "x-write-key"}
        assert int(reply.headers["access-control-max-age"]) > 0
        assert "access-control-allow-credentials" not in reply.headers
    assert (await rig.post("/v1/t", track())).headers["access-control-allow-origin"] == "*"
    assert (await rig.post("/v1/t", b"")).headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("GET", "/v1/track", 405, "POST, OPTIONS"),
        ("PUT", "/v1/batch", 405, "POST, OPTIONS"),
        ("GET", "/v1/m", 405, "POST, OPTIONS"),
        ("DELETE", "/v1/pixel/track", 405, "GET, HEAD, POST, OPTIONS"),
        ("POST", "/v1/projects/wk/settings", 405, "GET, HEAD"),
        ("POST", "/livez", 405, "GET, HEAD"),
        ("GET", "/", 404, None),
        ("POST", "/v1/nothing", 404, None),
        ("OPTIONS", "/v1/spaces/x", 404, None),
        ("GET", "/projects//settings", 404, None),
    ],
)
async def test_an_unknown_path_is_404_and_a_wrong_method_405(
    tmp_path: Path, method: str, path: str, status: int, allowed: str | None
) -> None:
    async def live() -> tuple[int, str, bytes]:
        return 200, "text/plain", b"ok"

    rig = Rig(tmp_path, extra_routes={"/livez": live})
    reply = await call(rig.app, method, path)
    assert reply is not None
    assert (reply.status, reply.headers.get("allow")) == (status, allowed)
    assert set(reply.json) == {"code", "message"}
    await rig.aclose()


async def test_extra_routes_are_answered_by_wiring_and_closed_to_web_pages(tmp_path: Path) -> None:
    async def ready() -> tuple[int, str, bytes]:
        return 503, "text/plain; charset=utf-8", b"starting"

    rig = Rig(tmp_path, extra_routes={"/readyz": ready})
    for method in ("GET", "HEAD"):
        reply = await call(rig.app, method, "/readyz")
        assert reply is not None
        assert (reply.status, reply.headers["content-type"]) == (503, "text/plain; charset=utf-8")
        assert "access-control-allow-origin" not in reply.headers
    await rig.aclose()


@pytest.mark.parametrize(("method", "path"), [("POST", "/nothing"), ("GET", "/v1/spaces/prod"), ("POST", "/readyz")])
async def test_no_page_reads_the_errors_of_what_is_not_the_tracking_api(tmp_path: Path, method: str, path: str) -> None:
    async def ready() -> tuple[int, str, bytes]:
        return 200, "application/json", b"{}"

    rig = Rig(tmp_path, extra_routes={"/readyz": ready})
    reply = await call(rig.app, method, path)
    assert reply is not None
    assert reply.status in (404, 405)
    assert "access-control-allow-origin" not in reply.headers
    await rig.aclose()


async def settings(rig: Rig, path: str, *headers: tuple[str, str], **more: Any) -> Any:
    return await call(rig.app, "GET", path, headers=headers, **more)


@pytest.mark.parametrize("path", ["/v1/projects/wk/settings", "/projects/wk/settings"])
async def test_the_settings_document_sends_the_sdk_back_to_this_host(rig: Rig, path: str) -> None:
    reply = await settings(rig, path, ("Host", "cdp.example:8000"))
    assert reply.status == 200
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "max-age" in reply.headers["cache-control"]
    assert list(reply.json["integrations"]) == ["Segment.io"]
    segment = reply.json["integrations"]["Segment.io"]
    assert (segment["apiKey"], segment["apiHost"], segment["protocol"]) == ("wk", "cdp.example:8000/v1", "http")
    assert reply.json["plan"]["track"]["__default"]["enabled"] is True
    assert reply.json["metrics"] == {"sampleRate": 0}


async def test_the_settings_of_an_unknown_key_are_404(rig: Rig) -> None:
    reply = await settings(rig, "/v1/projects/nobody/settings", ("Host", "h"))
    assert (reply.status, reply.json["code"]) == (404, "unknown_source")


@pytest.mark.parametrize("host", ["", "a b", 'x"y', "h:port", "h/evil", "[::1"])
async def test_a_host_header_that_names_no_host_is_refused(rig: Rig, host: str) -> None:
    assert (await settings(rig, "/projects/wk/settings", ("Host", host))).status == 400


async def test_the_scheme_of_a_proxy_counts_only_where_it_is_trusted(tmp_path: Path) -> None:
    rig = Rig(tmp_path, trusted_proxies=(ip_network("10.0.0.0/8"),))
    headers = (("Host", "[::1]:8000"), ("X-Forwarded-Proto", "https"))
    for peer, scheme in (("10.1.2.3", "https"), (PEER, "http")):
        reply = await settings(rig, "/projects/wk/settings", *headers, peer=peer)
        assert reply.json["integrations"]["Segment.io"]["protocol"] == scheme
    await rig.aclose()


@pytest.fixture
async def behind_proxy(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path, trusted_proxies=(ip_network("10.0.0.0/8"),))
    yield rig
    await rig.aclose()


DIRECT = track(context={"direct": True})


@pytest.mark.parametrize(
    ("peer", "forwarded", "ip"),
    [
        (PEER, None, PEER),
        (PEER, "198.51.100.7", PEER),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7:4711", "198.51.100.7"),
        ("10.0.0.1", "2001:db8::1", None),
        ("10.0.0.1", "unknown", None),
        ("::ffff:203.0.113.9", None, PEER),
        ("2001:db8::1", None, None),
        (None, None, None),
    ],
)
async def test_the_address_of_the_client_is_ipv4_and_through_trusted_proxies_only(
    behind_proxy: Rig, peer: str | None, forwarded: str | None, ip: str | None
) -> None:
    headers = () if forwarded is None else (("X-Forwarded-For", forwarded),)
    await behind_proxy.post("/v1/track", DIRECT, *headers, peer=peer)
    assert behind_proxy.events()[0]["context"].get("ip") == ip


async def test_nothing_of_a_counted_request_is_lost_between_log_and_quarantine(rig: Rig) -> None:
    await rig.batch(*[track(messageId=f"m{i % 7}", userId="u" if i % 3 else 5) for i in range(20)])
    dropped = sum(rig.quarantine.counts()["website"].values())
    assert rig.metrics.accepted + rig.metrics.duplicates + dropped == 20
    assert rig.metrics.dropped.total() == dropped


async def pixel(rig: Rig, query: bytes, path: str = "/v1/pixel/track", method: str = "GET", body: bytes = b"") -> None:
    reply = await call(rig.app, method, path, [body], query=query)
    assert reply is not None
    assert (reply.status, reply.headers["content-type"], reply.body) == (200, "image/gif", GIF_BYTES)
    assert "no-store" in reply.headers["cache-control"]


def b64(event: Any, url_safe: bool = True) -> bytes:
    import base64

    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    return b"data=" + encode(json.dumps(event, ensure_ascii=False).encode())


async def test_the_pixel_takes_base64_with_or_without_padding_in_both_alphabets(rig: Rig) -> None:
    event = {"writeKey": "wk", "userId": "ü?>~", "event": "Öffnung", "properties": {"a": "??>>"}}
    for query in (b64(event), b64(event).rstrip(b"="), b64(event, url_safe=False)):
        await pixel(rig, query)
    events = rig.events()
    assert [event["event"] for event in events] == ["Öffnung"] * 3
    assert events[0]["context"] == {"ip": PEER}
    assert events[0]["receivedAt"] == NOW_ISO and events[0]["type"] == "track"


async def test_the_pixel_takes_plain_parameters_with_dots(rig: Rig) -> None:
    await pixel(rig, b"writeKey=wk&userId=u&event=Email+Opened&properties.subject=Hi%21&properties.a.b=1&context.ip=1")
    (event,) = rig.events()
    assert event["properties"] == {"subject": "Hi!", "a": {"b": "1"}}
    assert event["context"] == {"ip": "1"} and "writeKey" not in event


async def test_the_pixel_takes_the_key_beside_the_data_and_a_post(rig: Rig) -> None:
    event = {"userId": "u", "event": "E"}
    await pixel(rig, b64(event) + b"&writeKey=wk")
    await pixel(rig, b"", method="POST", body=b64({**event, "writeKey": "wk"}))
    await pixel(rig, b"", method="POST", body=json.dumps({**event, "writeKey": "wk"}).encode())
    assert len(rig.events()) == 3
    await pixel(rig, b64({}) + b"&writeKey=wk", path="/v1/pixel/identify")
    assert rig.quarantine.counts() == {"website": {"no_user_anon_id": 1}}


@pytest.mark.parametrize(
    ("query", "path", "code"),
    [
        (b"data=e30", "/v1/pixel/track", "unknown_source"),
        (b"", "/v1/pixel/track", "unknown_source"),
        (b"data=!!!", "/v1/pixel/track", "event_not_object"),
        (b"data=W10=", "/v1/pixel/track", "event_not_object"),
        (b"writeKey=wk", "/v1/pixel/open", "type_unknown"),
        (b"a" + b".a" * 300 + b"=1&writeKey=wk", "/v1/pixel/track", "nested_too_deep"),
        (b"writeKey=wk&x=" + b"x" * 40_000, "/v1/pixel/track", "event_too_large"),
        (b"&".join(b"a%d=1" % i for i in range(2000)), "/v1/pixel/track", "event_not_object"),
    ],
)
async def test_a_pixel_that_cannot_be_read_is_still_a_picture_and_one_drop(
    rig: Rig, query: bytes, path: str, code: str
) -> None:
    await pixel(rig, query, path)
    assert [drop.code for drop in rig.drops()] == [code]


async def test_a_pixel_is_a_picture_also_on_a_full_disk(rig: Rig) -> None:
    rig.disk_ok = lambda: False
    await pixel(rig, b"writeKey=wk&userId=u&event=E")
    assert rig.events() == []


async def test_a_pixel_may_also_bring_its_key_in_a_header(rig: Rig) -> None:
    for header in (basic("wk"), ("X-Write-Key", "wk")):
        reply = await call(rig.app, "GET", "/v1/pixel/track", query=b"userId=u&event=E", headers=[header])
        assert reply is not None and reply.status == 200
    assert len(rig.events()) == 2


async def test_a_pixel_with_an_unknown_key_is_a_dropped_event_also_under_strict_keys(tmp_path: Path) -> None:
    rig = Rig(tmp_path, strict_keys=True)
    await pixel(rig, b"writeKey=nobody&userId=u&event=E&messageId=m")
    assert [(drop.source, drop.code, drop.message_id) for drop in rig.drops()] == [("", "unknown_source", "m")]
    await rig.aclose()


async def test_a_pixel_that_cannot_be_taken_now_is_counted(slow: Rig) -> None:
    for _ in range(3):
        await pixel(slow, b"writeKey=wk&userId=u&event=E")
    slow.disk_ok = lambda: False
    await pixel(slow, b"writeKey=wk&userId=u&event=E")
    assert len(slow.events()) == 1
    assert slow.metrics.lost_pixels == {"rate_limited": 2, "disk_full": 1}


async def test_asking_for_the_head_of_a_pixel_is_no_event(rig: Rig) -> None:
    reply = await call(rig.app, "HEAD", "/v1/pixel/track", query=b"writeKey=wk&userId=u&event=E")
    assert reply is not None and reply.status == 200
    assert rig.events() == [] and rig.drops() == []
