"""Who is answered by the Profile API, how often, and what the others are told."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import requests

from segue.api.access import token_of
from segue.api.limits import ApiLimits
from segue.api.problem import CODES
from segue.api.profiles import PREFIX
from segue.control import space_tokens
from tests.repo.conftest import ROOT

from .rig import Api

TRAITS = "prod/collections/users/profiles/user_id:u1/traits"


@pytest.fixture
def known(api: Api) -> Api:
    api.send(("identify", {"userId": "u1", "traits": {"name": "Ann"}}))
    return api


def test_a_token_is_taken_as_user_name_or_as_bearer(known: Api):
    assert known.request(TRAITS).status_code == 200
    assert known.request(TRAITS, auth=None, headers={"Authorization": f"Bearer {known.token}"}).status_code == 200
    assert known.request(TRAITS, auth=None, headers={"Authorization": f"bearer  {known.token} "}).status_code == 200


def test_whoever_has_no_token_of_the_space_is_told_the_same_of_every_space(known: Api):
    said = set()
    for path, token in [
        (TRAITS, "segue_pt_none"),
        (TRAITS, known.other_token),
        (TRAITS.replace("prod", "nowhere"), known.token),
        (TRAITS.replace("u1", "nobody"), known.other_token),
        (TRAITS, ""),
    ]:
        answer = known.request(path, token=token)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Basic realm="segue"')
        said.add(answer.text)
    assert len(said) == 1
    assert known.refused(TRAITS, auth=None) == (401, "authentication_error")


@pytest.mark.parametrize(
    "header", ["Basic", "Basic !!!", "Basic /w==", "Digest x", "Bearer", "", "Basic " + "A" * 5000]
)
def test_a_header_that_holds_no_token_holds_none(known: Api, header: str):
    assert token_of(header) is None
    assert known.refused(TRAITS, auth=None, headers={"Authorization": header}) == (401, "authentication_error")


def test_a_revoked_token_reads_nothing_from_then_on(known: Api):
    space_tokens.revoke(known.control, "prod", "one")
    known.reload()
    assert known.refused(TRAITS) == (401, "authentication_error")


def test_a_deleted_space_is_closed_and_answers_nobody(known: Api):
    assert known.request(TRAITS).status_code == 200
    with known.control.change() as change:
        change.delete_space(known.spaces["prod"].id)
    known.reload()
    assert known.refused(TRAITS) == (401, "authentication_error")
    assert known.refused("dev/collections/users/profiles/user_id:u1/traits", token=known.other_token)[0] == 404
    assert known.app._files._readers._open == {}


def test_the_profiles_of_one_space_are_not_those_of_another(known: Api):
    path = TRAITS.replace("prod", "dev")
    assert known.refused(path, token=known.other_token) == (404, "not_found")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("prod/collections/users/profiles/user_id:nobody/traits", (404, "not_found")),
        ("prod/collections/accounts/profiles/user_id:u1/traits", (404, "not_found")),
        ("prod/collections/users/profiles/use_0000/links", (404, "not_found")),
        ("prod/collections/things/profiles/user_id:u1/traits", (400, "validation_error")),
        ("prod/collections/users/profiles/u1/traits", (400, "validation_error")),
        ("prod/collections/users/profiles/:u1/traits", (400, "validation_error")),
        ("prod/collections/users/profiles/user_id:/traits", (400, "validation_error")),
        (TRAITS + "?limit=0", (400, "invalid_request_error")),
        (TRAITS + "?limit=201", (400, "invalid_request_error")),
        (TRAITS + "?limit=", (400, "invalid_request_error")),
        (TRAITS + "?limit=1e1", (400, "invalid_request_error")),
        (TRAITS + "?limit=²", (400, "invalid_request_error")),
        (TRAITS + "?verbose=maybe", (400, "invalid_request_error")),
        (TRAITS + "?class=trait", (400, "invalid_request_error")),
        (TRAITS.replace("traits", "external_ids?limit=101"), (400, "invalid_request_error")),
        (TRAITS.replace("traits", "links?limit=21"), (400, "invalid_request_error")),
        (TRAITS.replace("traits", "links?next=x"), (400, "invalid_request_error")),
        (TRAITS.replace("traits", "nothing"), (404, "not_found")),
        (TRAITS.replace("/traits", ""), (404, "not_found")),
        ("prod", (404, "not_found")),
    ],
)
def test_an_error_says_whose_it_is(known: Api, path: str, expected: tuple[int, str]):
    assert known.refused(path) == expected


def test_an_unknown_parameter_and_a_slash_at_the_end_do_no_harm(known: Api):
    plain = known.request(TRAITS).json()
    assert known.request(TRAITS + "?:collection=users&x").json() == plain
    assert known.request(TRAITS + "/").json() == plain


def test_a_space_without_profiles_has_none(api: Api):
    assert api.refused(TRAITS) == (404, "not_found")
    api.path_of(api.spaces["prod"].id).parent.mkdir(parents=True)
    api.path_of(api.spaces["prod"].id).touch()  # as while the worker makes it
    assert api.refused(TRAITS) == (404, "not_found")
    api.path_of(api.spaces["prod"].id).parent.joinpath("profiles.db").unlink()
    api.path_of(api.spaces["prod"].id).parent.rmdir()
    api.send(("identify", {"userId": "u1"}))
    assert api.request(TRAITS).status_code == 200


def test_a_damaged_file_is_a_fault_of_the_server_whose_path_nobody_is_told(api: Api):
    path = api.path_of(api.spaces["prod"].id)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no database at all" * 100)
    assert api.refused(TRAITS) == (500, "internal_error")
    assert "profiles.db" not in api.request(TRAITS).text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_only_get_is_answered_and_no_web_page_may_read_it(known: Api, method: str):
    answer = known.request(TRAITS, method=method, headers={"Origin": "https://shop.example"})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    for reply in (answer, known.request(TRAITS, headers={"Origin": "https://shop.example"})):
        assert not [name for name in reply.headers if name.lower().startswith("access-control-")]
    head = known.request(TRAITS, method="HEAD")
    assert (head.status_code, head.text) == (200, "")


def test_a_request_with_a_body_is_refused_and_the_next_one_is_answered(known: Api):
    with requests.Session() as session:
        session.auth = (known.token, "")
        url = f"{known.url}/v1/spaces/{TRAITS}"
        assert session.get(url, data=b"{}" * 50_000, timeout=10).status_code == 400
        assert session.get(url, data=(b"{}" for _ in range(3)), timeout=10).status_code == 400
        assert session.get(url, timeout=10).status_code == 200


def test_a_space_is_read_a_hundred_times_a_second_and_another_one_meanwhile(known: Api):
    with requests.Session() as session:
        session.auth = (known.token, "")
        url = f"{known.url}/v1/spaces/{TRAITS}"
        assert {session.get(url, timeout=10).status_code for _ in range(100)} == {200}
        answer = session.get(url, timeout=10)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_error")
    assert answer.headers["retry-after"] == answer.headers["x-ratelimit-reset"] == "1"
    assert known.refused(TRAITS.replace("prod", "dev"), token=known.other_token)[0] == 404
    assert known.refused(TRAITS, token="stranger")[0] == 401
    known.clock.now += 10
    assert known.request(TRAITS).status_code == 200


def test_every_answer_has_an_id_of_its_own_and_is_kept_by_nobody(known: Api):
    answers = [known.request(TRAITS), known.request(TRAITS), known.request("prod"), known.request(TRAITS, token="x")]
    assert len({answer.headers["request-id"] for answer in answers}) == 4
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}


def test_requests_beyond_the_bound_are_told_to_come_again(tmp_path: Path):
    with Api.served(tmp_path, ApiLimits(waiting_requests=1, read_seconds=0.05)) as api:
        held = threading.Event()
        api.app._files._thread.submit(held.wait, 10)
        slow = api.request(TRAITS)
        assert (slow.status_code, slow.headers["retry-after"]) == (503, "1")
        assert "in time" in slow.json()["error"]["message"]
        assert "too many" in api.request(TRAITS).json()["error"]["message"].lower()
        held.set()
        api.app._files._thread.submit(int).result(10)
        api.send(("identify", {"userId": "u1"}))
        assert api.request(TRAITS).status_code == 200


def test_the_collector_counts_the_requests_and_still_takes_events(known: Api):
    for path in (TRAITS, "prod"):
        known.request(path)
    assert (known.metrics.requests[PREFIX, 200], known.metrics.requests[PREFIX, 404]) == (1, 1)
    sent = requests.post(f"{known.url}/v1/track", json={"event": "x", "userId": "u"}, auth=("wk", ""), timeout=10)
    assert sent.json() == {"success": True}


def test_every_code_is_documented():
    page = (ROOT / "docs/reference/profile-api.md").read_text("utf-8")
    for code, (status, _meaning) in CODES.items():
        assert f"| {status} | `{code}` |" in page
