"""What every sandbox does before and after its vendor's semantics. Run on Plotline, which adds least of its own."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from segue.core.errors import Damaged, Held, Invalid
from segue.sandbox.app import create_app, is_local, receivers
from segue.sandbox.frame import BODY_MAX
from segue.sandbox.ledger import DEDUPE_MS, REQUESTS_MAX
from segue.sandbox.server import loopback_socket
from tests.sandbox.conftest import Client, ManualClock, Reply, basic

INBOUND = "/plotline/segment/events"
ADMIN = "/plotline/_sandbox"
DEMO = basic("demo-plotline-key")


def track(message_id: str | None = "m1", **fields: Any) -> dict[str, Any]:
    event = {"type": "track", "event": "Signed Up", "userId": "u1", "messageId": message_id, **fields}
    return {name: value for name, value in event.items() if value is not None}


def send(client: Client, event: Any, headers: dict[str, str] | None = None) -> Reply:
    return client.post(INBOUND, event, headers=DEMO if headers is None else headers)


def events(client: Client) -> list[dict[str, Any]]:
    return client.state("plotline")["events"]


# The app


def test_the_front_lists_every_vendor(client: Client) -> None:
    listed = {entry["vendor"]: entry["inbound"] for entry in client.get("/").body["sandboxes"]}
    assert listed == {found.slug: f"/{found.slug}{found.inbound}" for found in receivers()}
    assert (
        listed.items()
        >= {
            "plotline": "/plotline/segment/events",
            "pointillist": "/pointillist/event",
        }.items()
    )


def test_every_vendor_starts_with_its_demo_key(client: Client) -> None:
    for found in receivers():
        (key,) = client.get(f"/{found.slug}/_sandbox/keys").body
        assert (key["id"], key["state"]) == ("demo", "live")


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1:8100", True),
        ("127.1.2.3", True),
        ("localhost", True),
        ("LOCALHOST:8100", True),
        ("plotline.localhost:8100", True),
        ("[::1]:8100", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("10.0.0.1", False),
        ("0.0.0.0:8100", False),
        ("[::", False),
        ("", False),
    ],
)
def test_only_a_host_header_of_this_machine_is_served(client: Client, host: str, *, local: bool) -> None:
    assert is_local(host) is local
    assert client.get("/", headers={"host": host}).status == (200 if local else 421)


def test_another_site_may_not_call_the_admin(client: Client) -> None:
    origin = {"origin": "https://evil.example"}
    assert client.post(f"{ADMIN}/reset", headers=origin).status == 403
    assert client.post(f"{ADMIN}/reset", headers={"origin": "null"}).status == 403
    assert client.post(f"{ADMIN}/reset", headers={"origin": "http://localhost:3000"}).status == 200
    assert send(client, track(), {**DEMO, **origin}).status == 200


@pytest.mark.parametrize("path", ["/nowhere", "/plotline/nowhere", f"{INBOUND}/", "/plotline"])
def test_an_unknown_path_answers_404_with_a_message(client: Client, path: str) -> None:
    reply = client.post(path, track(), headers=DEMO)
    assert reply.status == 404
    assert reply.headers["content-type"] == "application/json"
    assert "message" in reply.body


def test_another_method_answers_405(client: Client) -> None:
    assert client.get(INBOUND).status == 405


def test_the_server_binds_loopback_addresses_only() -> None:
    with pytest.raises(Invalid, match="loopback"):
        loopback_socket(0, "0.0.0.0")


def test_a_port_in_use_is_held() -> None:
    with loopback_socket(0) as first, pytest.raises(Held, match="port"):
        loopback_socket(first.getsockname()[1])


def test_a_file_of_another_version_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "sandbox.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(Damaged, match="99"):
        create_app(path, clock)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "sandbox.db"
    path.write_bytes(b"not a database, but long enough to be taken for one" * 40)
    with pytest.raises(Damaged, match="remove it"):
        create_app(path, clock)


# Keys


def encoded(text: bytes) -> str:
    return b64encode(text).decode()


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer demo-plotline-key",
        "Basic",
        "Basic !!!",
        "Basic " + encoded(b"demo-plotline-key"),
        "Basic " + encoded(b"demo-plotline-key:secret"),
        "Basic " + encoded(b"\xff:"),
    ],
)
def test_a_missing_or_malformed_authorization_answers_401_and_says_basic(client: Client, header: str) -> None:
    reply = send(client, track(), {"authorization": header})
    assert (reply.status, reply.headers["www-authenticate"]) == (401, "Basic")
    assert reply.headers["content-type"] == "application/json"
    assert reply.body["message"]


def test_the_key_of_segments_example_is_read_from_its_header(client: Client) -> None:
    client.post(f"{ADMIN}/keys", {"key": "segment"})
    assert send(client, track(), {"authorization": "Basic c2VnbWVudDo="}).status == 200


def test_a_new_key_is_answered_once_in_full_and_works(client: Client) -> None:
    made = client.post(f"{ADMIN}/keys", {})
    assert made.status == 201
    assert send(client, track(), basic(made.body["key"])).status == 200
    assert events(client)[0]["key_id"] == made.body["id"]
    listed = client.get(f"{ADMIN}/keys").body
    assert [key["id"] for key in listed] == ["demo", made.body["id"]]
    assert made.body["key"] not in json.dumps(listed)


def test_a_key_may_be_chosen_but_not_twice(client: Client) -> None:
    made = client.post(f"{ADMIN}/keys", {"key": "sk_test_mine"})
    assert (made.status, made.body["key"]) == (201, "sk_test_mine")
    assert client.post(f"{ADMIN}/keys", {"key": "sk_test_mine"}).status == 409


@pytest.mark.parametrize(
    "body", [{"key": 7}, {"key": "a:b"}, {"key": "a b"}, {"key": "ключ"}, {"key": "k" * 201}, {"unknown": 1}, [1]]
)
def test_a_key_that_cannot_be_used_is_refused(client: Client, body: Any) -> None:
    reply = client.post(f"{ADMIN}/keys", body)
    assert reply.status == 400
    assert reply.body["message"]


def test_a_revoked_key_answers_403_and_another_still_works(client: Client) -> None:
    made = client.post(f"{ADMIN}/keys").body
    assert client.post(f"{ADMIN}/keys/demo/revoke").body["state"] == "revoked"
    assert send(client, track()).status == 403
    assert send(client, track(), basic(made["key"])).status == 200


def test_a_revoked_key_that_is_issued_again_works_for_the_same_tenant(client: Client) -> None:
    assert send(client, track("m1")).status == 200
    client.call("PATCH", f"{ADMIN}/keys/demo", {"dedupe": False})
    client.post(f"{ADMIN}/keys/demo/revoke")
    again = client.post(f"{ADMIN}/keys", {"key": "demo-plotline-key"})
    assert (again.status, again.body["id"], again.body["key"]) == (201, "demo", "demo-plotline-key")
    assert (again.body["state"], again.body["dedupe"]) == ("live", False)
    assert send(client, track("m2")).status == 200
    assert [event["key_id"] for event in events(client)] == ["demo", "demo"]
    assert [key["id"] for key in client.get(f"{ADMIN}/keys").body] == ["demo"]


def test_a_disabled_key_is_not_issued_again(client: Client) -> None:
    client.post(f"{ADMIN}/keys/demo/disable")
    assert client.post(f"{ADMIN}/keys", {"key": "demo-plotline-key"}).status == 409


def test_a_disabled_key_can_be_enabled_but_a_revoked_one_cannot(client: Client) -> None:
    assert client.post(f"{ADMIN}/keys/demo/disable").body["state"] == "disabled"
    assert send(client, track()).status == 403
    assert client.post(f"{ADMIN}/keys/demo/enable").body["state"] == "live"
    assert send(client, track()).status == 200
    client.post(f"{ADMIN}/keys/demo/revoke")
    assert client.post(f"{ADMIN}/keys/demo/enable").status == 409


@pytest.mark.parametrize("verb", ["revoke", "disable", "enable"])
def test_an_unknown_key_id_answers_404(client: Client, verb: str) -> None:
    assert client.post(f"{ADMIN}/keys/nobody/{verb}").status == 404


def test_the_options_of_a_key_can_be_changed(client: Client) -> None:
    assert client.call("PATCH", f"{ADMIN}/keys/demo", {"dedupe": False}).body["dedupe"] is False
    assert client.call("PATCH", f"{ADMIN}/keys/demo", {"dedupe": "no"}).status == 400
    assert client.call("PATCH", f"{ADMIN}/keys/nobody", {}).status == 404


# The body


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"])
def test_another_content_type_answers_415(client: Client, content_type: str) -> None:
    assert send(client, track(), {**DEMO, "content-type": content_type}).status == 415


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_the_content_type_may_have_parameters_and_any_case(client: Client, content_type: str) -> None:
    assert send(client, track(), {**DEMO, "content-type": content_type}).status == 200


@pytest.mark.parametrize("raw", [b"", b"[]", b"1", b'"text"', b"null", b"{", b"{}{}", b'{"a":"\xff"}', b'{"a":NaN}'])
def test_a_body_that_is_not_one_json_object_answers_400(client: Client, raw: bytes) -> None:
    reply = client.post(INBOUND, raw=raw, headers=DEMO)
    assert (reply.status, reply.body) == (400, {"message": "Body must be one JSON object"})


def test_a_body_over_64_kb_answers_413_and_one_of_64_kb_is_taken(client: Client) -> None:
    frame = json.dumps(track(properties={"pad": ""})).encode()
    full = frame.replace(b'"pad": ""', b'"pad": "' + b"x" * (BODY_MAX - len(frame)) + b'"')
    assert len(full) == BODY_MAX
    assert client.post(INBOUND, raw=full, headers=DEMO).status == 200
    assert client.post(INBOUND, raw=full + b" ", headers=DEMO).status == 413


def test_a_missing_type_answers_400_and_an_unknown_one_501(client: Client) -> None:
    assert send(client, {"userId": "u1"}).body == {"message": "type is required"}
    assert send(client, {"userId": "u1", "type": 7}).status == 400
    assert send(client, {"userId": "u1", "type": "delete"}).status == 501


def test_strange_but_legal_json_is_stored(client: Client) -> None:
    properties = b'{"n":1.50,"\\udfff":[[]]}'
    text = b'"\\u0000 \xf0\x9f\x98\x80"'
    strange = b'{"type":"track","userId":"\\ud800u","event":' + text + b',"properties":' + properties + b"}"
    assert client.post(INBOUND, raw=strange, headers=DEMO).status == 200
    (event,) = events(client)
    assert event["distinct_id"] == "\ufffdu"
    assert event["event"] == "\0 \U0001f600"
    assert event["properties"] == {"n": 1.5, "\ufffd": [[]]}


def test_two_thousand_traits_are_taken(client: Client) -> None:
    traits = {f"ключ {number}": number for number in range(2000)}
    body = json.dumps({"type": "identify", "userId": "u1", "traits": traits}, ensure_ascii=False).encode()
    assert client.post(INBOUND, raw=body, headers=DEMO).status == 200
    assert client.state("plotline")["users"][0]["attributes"] == traits


def test_a_numeric_id_becomes_text(client: Client) -> None:
    send(client, track(userId=42))
    assert events(client)[0]["distinct_id"] == "42"


# Duplicates


def test_a_duplicate_gets_the_first_answer_again_and_stores_nothing(client: Client) -> None:
    first, second = send(client, track()), send(client, track(event="Other"))
    assert second.status == first.status
    assert second.body == first.body
    assert "x-sandbox-duplicate" not in first.headers
    assert second.headers["x-sandbox-duplicate"] == "1"
    assert [event["event"] for event in events(client)] == ["Signed Up"]
    assert [entry["duplicate"] for entry in client.get(f"{ADMIN}/requests").body] == [False, True]


def test_a_messageid_is_remembered_for_a_day(client: Client, clock: ManualClock) -> None:
    send(client, track())
    clock.time_ms += DEDUPE_MS - 1
    assert send(client, track()).headers["x-sandbox-duplicate"] == "1"
    clock.time_ms += 1
    assert "x-sandbox-duplicate" not in send(client, track()).headers
    assert len(events(client)) == 2


def test_each_key_has_its_own_messageids(client: Client) -> None:
    other = client.post(f"{ADMIN}/keys").body["key"]
    send(client, track())
    assert "x-sandbox-duplicate" not in send(client, track(), basic(other)).headers


def test_without_dedupe_the_same_event_is_stored_twice(client: Client) -> None:
    client.call("PATCH", f"{ADMIN}/keys/demo", {"dedupe": False})
    send(client, track())
    send(client, track())
    assert [event["messageId"] for event in events(client)] == ["m1", "m1"]


def test_a_refused_event_is_taken_when_it_comes_again(client: Client) -> None:
    assert send(client, track(userId=None)).status == 400
    assert send(client, track()).status == 200


def test_an_event_without_messageid_is_never_a_duplicate(client: Client) -> None:
    send(client, track(None))
    send(client, track(None))
    assert len(events(client)) == 2


def test_concurrent_duplicates_make_one_record(client: Client) -> None:
    async def all_at_once() -> list[Reply]:
        calls = [client.acall("POST", INBOUND, track(), headers=DEMO) for _ in range(20)]
        return await asyncio.gather(*calls)

    replies = asyncio.run(all_at_once())
    assert {reply.status for reply in replies} == {200}
    assert sum("x-sandbox-duplicate" in reply.headers for reply in replies) == 19
    assert len(events(client)) == 1


# Faults


def fault(client: Client, **order: Any) -> Reply:
    return client.post(f"{ADMIN}/faults", order)


def test_a_fault_answers_as_often_as_ordered_and_stores_nothing(client: Client) -> None:
    assert fault(client, status=503, times=2).status == 201
    replies = [send(client, track()) for _ in range(3)]
    assert [reply.status for reply in replies] == [503, 503, 200]
    assert replies[0].headers["content-type"] == "application/json"
    assert replies[0].body["message"]
    assert len(events(client)) == 1


def test_a_fault_may_have_its_own_body_and_headers(client: Client) -> None:
    fault(client, status=429, body={"message": "slow down"}, headers={"Retry-After": "7"})
    reply = send(client, track())
    assert (reply.status, reply.body, reply.headers["retry-after"]) == (429, {"message": "slow down"}, "7")


def test_faults_are_consumed_in_order_by_the_calls_they_match(client: Client) -> None:
    fault(client, status=500, match={"type": "identify"})
    fault(client, status=503, match={"userId": "u2"})
    fault(client, status=429)
    assert send(client, track(userId="u2")).status == 503
    assert send(client, track(userId="u2")).status == 429
    assert [entry["status"] for entry in client.get(f"{ADMIN}/faults").body] == [500]
    assert send(client, track("m2")).status == 200
    assert send(client, {"type": "identify", "userId": "u1"}).status == 500
    assert client.get(f"{ADMIN}/faults").body == []


def test_what_is_left_of_the_faults_can_be_seen_and_cancelled(client: Client) -> None:
    fault(client, status=500, times=3)
    send(client, track())
    (left,) = client.get(f"{ADMIN}/faults").body
    assert (left["status"], left["times"], left["left"]) == (500, 3, 2)
    client.call("DELETE", f"{ADMIN}/faults")
    assert send(client, track()).status == 200


def test_a_fault_comes_before_the_key_and_the_body_are_looked_at(client: Client) -> None:
    fault(client, status=503, times=2)
    assert send(client, track(), {}).status == 503
    assert client.post(INBOUND, raw=b"{", headers=DEMO).status == 503


def test_faults_are_for_the_inbound_path_only(client: Client) -> None:
    fault(client, status=503)
    assert client.get(f"{ADMIN}/state").status == 200
    assert send(client, track()).status == 503


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"times": 2},
        {"status": 100},
        {"status": "503"},
        {"status": 503, "times": 0},
        {"delay_ms": -1},
        {"unknown": 1},
        {"drop": True, "headers": {"a": "b"}},
        {"status": 503, "headers": {"a": "b\r\nc: d"}},
        {"status": 503, "headers": {"a b": "c"}},
        {"status": 199},
        {"status": 204, "body": {"message": "none"}},
        {"status": 304, "body": ""},
        {"status": 503, "headers": {"Content-Length": "3"}},
        {"status": 503, "headers": {"transfer-encoding": "chunked"}},
    ],
)
def test_a_fault_that_cannot_be_is_refused(client: Client, order: dict[str, Any]) -> None:
    reply = client.post(f"{ADMIN}/faults", order)
    assert reply.status == 400
    assert reply.body["message"]


@pytest.mark.parametrize("status", [204, 304])
def test_a_fault_whose_status_has_no_body_ends_with_its_headers(
    address: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with requests.Session() as session:
        ordered = session.post(
            f"{address}{ADMIN}/faults", json={"status": status, "headers": {"ETag": "x"}}, timeout=10
        )
        assert ordered.status_code == 201
        answer = session.post(f"{address}{INBOUND}", json=track(), headers=DEMO, timeout=10)
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (status, b"", "x")
        (noted,) = session.get(f"{address}{ADMIN}/requests", timeout=10).json()
        assert noted["answer"] == {"status": status, "body": None, "headers": {"ETag": "x"}}
    assert caplog.records == []


def test_a_dropped_call_closes_the_socket_and_stores_nothing(client: Client) -> None:
    fault(client, drop=True)
    assert send(client, track()).status == 0
    assert client.closed_sockets == 1
    assert events(client) == []
    (entry,) = client.get(f"{ADMIN}/requests").body
    assert entry["answer"] is None


def test_a_dropped_call_ends_a_real_connection_without_an_answer(address: str) -> None:
    with requests.Session() as session:
        session.post(f"{address}{ADMIN}/faults", json={"drop": True}, timeout=10)
        with pytest.raises(requests.ConnectionError):
            session.post(f"{address}{INBOUND}", json=track(), headers=DEMO, timeout=10)
        assert session.post(f"{address}{INBOUND}", json=track(), headers=DEMO, timeout=10).status_code == 200


def test_a_slow_answer_comes_after_the_event_was_stored(client: Client) -> None:
    """PL-T16, the receiver's half: the sender that gave up and sends again is answered as a duplicate."""

    async def slowly() -> Reply:
        waiting = asyncio.create_task(client.acall("POST", INBOUND, track(), headers=DEMO))
        for _ in range(20):
            await asyncio.sleep(0)  # only lets the call above run up to where it waits
        assert not waiting.done()
        assert (await client.acall("GET", f"{ADMIN}/state")).body["events"]
        again = await client.acall("POST", INBOUND, track(), headers=DEMO)
        waiting.cancel()
        return again

    fault(client, slow_ms=600_000)
    assert asyncio.run(slowly()).headers["x-sandbox-duplicate"] == "1"
    assert len(events(client)) == 1


def test_a_delayed_call_is_taken_in_the_end(client: Client) -> None:
    fault(client, delay_ms=1)
    assert send(client, track()).status == 200
    fault(client, delay_ms=1, status=500)
    assert send(client, track("m2")).status == 500


# Requests, reset, restart


def test_a_request_is_listed_with_its_answer_and_its_key_masked(client: Client) -> None:
    client.post(INBOUND, raw=b'{"type":"track","userId":"u1","event":"E","properties":{"n":1.50}}', headers=DEMO)
    (entry,) = client.get(f"{ADMIN}/requests").body
    assert entry["method"] == "POST"
    assert entry["path"] == INBOUND
    assert entry["at"] == "2026-11-21T22:26:40.000Z"
    assert entry["headers"]["authorization"] == "Basic ***"
    assert entry["body"]["event"] == "E"
    assert entry["answer"] == {"status": 200, "body": {"success": True}, "headers": {}}
    assert entry["duplicate"] is False


def test_a_refused_request_is_listed_too(client: Client) -> None:
    client.post(INBOUND, raw=b"no json", headers=DEMO)
    send(client, track(), {})
    first, second = client.get(f"{ADMIN}/requests").body
    assert (first["body"], first["answer"]["status"]) == ("no json", 400)
    assert second["answer"]["status"] == 401


def test_the_newest_requests_can_be_asked_for(client: Client) -> None:
    for number in range(3):
        send(client, track(f"m{number}"))
    listed = client.get(f"{ADMIN}/requests?limit=2").body
    assert [entry["body"]["messageId"] for entry in listed] == ["m1", "m2"]
    for limit in ("0", "-1", "many", str(REQUESTS_MAX + 1)):
        assert client.get(f"{ADMIN}/requests?limit={limit}").status == 400


def test_only_the_newest_requests_are_kept(client: Client, tmp_path: Path) -> None:
    filler = sqlite3.connect(tmp_path / "sandbox.db")
    with filler:
        row = ("plotline", b'{"body":{"messageId":"old"}}')
        filler.executemany("INSERT INTO request (vendor, body) VALUES (?, ?)", [row] * (REQUESTS_MAX + 50))
    send(client, track())
    (kept,) = filler.execute("SELECT count(*) FROM request WHERE vendor = 'plotline'").fetchone()
    filler.close()
    assert kept == REQUESTS_MAX
    listed = client.get(f"{ADMIN}/requests").body
    assert len(listed) == REQUESTS_MAX
    assert listed[-1]["body"]["messageId"] == "m1"


def test_reset_forgets_everything_of_its_vendor_and_nothing_of_another(client: Client) -> None:
    made = client.post(f"{ADMIN}/keys").body
    client.post("/pointillist/_sandbox/keys", {"key": "kept"})
    send(client, track())
    fault(client, status=503)
    assert client.post(f"{ADMIN}/reset").status == 200
    assert client.state("plotline") == {"users": [], "events": [], "campaigns": []}
    assert client.get(f"{ADMIN}/requests").body == []
    assert [key["id"] for key in client.get(f"{ADMIN}/keys").body] == ["demo"]
    assert send(client, track(), basic(made["key"])).status == 401
    assert "x-sandbox-duplicate" not in send(client, track()).headers
    assert len(client.get("/pointillist/_sandbox/keys").body) == 2


def test_state_requests_keys_faults_and_dedupe_survive_a_restart(open_client: Callable[[], Client]) -> None:
    client = open_client()
    made = client.post(f"{ADMIN}/keys", {"key": "sk_test_mine"}).body
    send(client, track())
    client.post(f"{ADMIN}/keys/demo/revoke")
    fault(client, status=503, times=2)
    send(client, track("m2"), basic("sk_test_mine"))
    before = client.state("plotline"), client.get(f"{ADMIN}/requests").body

    client = open_client()
    assert (client.state("plotline"), client.get(f"{ADMIN}/requests").body) == before
    assert send(client, track("m2"), basic(made["key"])).status == 503
    assert send(client, track("m2"), basic(made["key"])).status == 200
    assert send(client, track()).status == 403
    client.post(f"{ADMIN}/reset")
    send(client, track())
    client = open_client()
    assert send(client, track()).headers["x-sandbox-duplicate"] == "1"


def test_rows_come_in_order_of_arrival_with_key_and_messageids(client: Client) -> None:
    other = client.post(f"{ADMIN}/keys").body
    for number, key in enumerate(["demo-plotline-key", other["key"], "demo-plotline-key"]):
        send(client, track(f"m{number}"), basic(key))
    found = events(client)
    assert [event["messageId"] for event in found] == ["m0", "m1", "m2"]
    assert [event["messageIds"] for event in found] == [["m0"], ["m1"], ["m2"]]
    assert [event["key_id"] for event in found] == ["demo", other["id"], "demo"]


def test_a_real_server_answers_and_stores(address: str) -> None:
    with requests.Session() as session:
        reply = session.post(f"{address}{INBOUND}", json=track(), headers=DEMO, timeout=10)
        assert (reply.status_code, reply.json()) == (200, {"success": True})
        state = session.get(f"{address}{ADMIN}/state", timeout=10).json()
        assert [event["messageId"] for event in state["events"]] == ["m1"]
        big = session.post(f"{address}{INBOUND}", data=b"x" * 200_000, headers=DEMO, timeout=10)
        assert big.status_code == 415
