"""What the Webhooks destination must hold: who is called, with what, and what the answers mean."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.core.destination import BatchFlow, Flow, Request, Response, Verdict, check_settings, setting_fields
from segue.core.destination import verdict as verdict_of
from segue.core.errors import Invalid, Unsuccessful
from segue.core.event import CALL_TYPES, Event
from segue.destinations import catalog
from segue.destinations.webhook import RESERVED, Settings, batch_size, destination, send, send_batch

ONE = "https://one.example/in"
TWO = "https://two.example/in"
BODY = b'{"type": "track", "messageId": "m", "userId": "u\\u00e9", "event": "Paid", "properties": {"n": 1.0}}'
REFUSED_ADDRESS = Response(status=0, error="ADDRESS_REFUSED")


def settings(*hooks: object, **others: object) -> Settings:
    made = check_settings(destination, {"hooks": list(hooks), **others})
    assert isinstance(made, Settings)
    return made


def run(flow: Flow | BatchFlow, *answers: Response) -> tuple[list[Request], Response | None]:
    """The requests made while the addresses answer so, and the answer that ended the attempt, if one did."""
    requests: list[Request] = []
    waiting = iter(answers)
    try:
        request = next(flow)
        while True:
            requests.append(request)
            response = next(waiting)
            if not request.judge and not 200 <= response.status < 300:
                flow.close()
                return requests, response
            request = flow.send(response)
    except StopIteration as stop:
        assert stop.value is None
        return requests, None
    except Unsuccessful as unsuccessful:
        return requests, unsuccessful.response


def answer(status: int, **others: Any) -> Response:
    return Response(status=status, **others)


def headers(request: Request) -> dict[str, str]:
    assert len({name.lower() for name, _ in request.headers}) == len(request.headers)
    return dict(request.headers)


def test_the_catalog_holds_the_facts_of_segments_catalog() -> None:
    assert catalog()["webhook"] is destination
    assert destination.name == "Webhooks"
    assert destination.names == {"Webhooks"}
    assert destination.id == "54521fdc25e721e32a72ef04"
    assert destination.methods == set(CALL_TYPES)
    assert destination.categories == ("Raw Data",)


def test_an_event_is_posted_as_it_was_accepted() -> None:
    (request,), ended = run(send(settings(ONE), Event(BODY)), answer(200))
    assert ended is None
    assert (request.method, request.url, request.body) == ("POST", ONE, BODY)
    assert headers(request) == {"Content-Type": "application/json", "User-Agent": "Segment.io/1.0"}


def test_all_addresses_are_called_and_see_the_same_event() -> None:
    urls = [f"https://h{n}.example/" for n in range(5)]
    requests, ended = run(send(settings(*urls), Event(BODY)), *[answer(204)] * 5)
    assert [request.url for request in requests] == urls
    assert {request.body for request in requests} == {BODY}
    assert ended is None


@pytest.mark.parametrize("failure", [answer(500), answer(400), answer(0, error="ETIMEDOUT"), REFUSED_ADDRESS])
def test_one_success_is_enough_and_the_others_are_still_called(failure: Response) -> None:
    assert len(run(send(settings(ONE, TWO), Event(BODY)), failure, answer(200))[0]) == 2
    assert run(send(settings(ONE, TWO), Event(BODY)), failure, answer(200))[1] is None
    assert run(send(settings(ONE, TWO), Event(BODY)), answer(200), failure)[1] is None


def test_without_a_success_one_retryable_answer_means_a_retry() -> None:
    _, ended = run(send(settings(ONE, TWO), Event(BODY)), answer(404), answer(503))
    assert ended == answer(503)
    _, ended = run(send(settings(ONE, TWO), Event(BODY)), answer(0, error="ECONNREFUSED"), answer(400))
    assert ended is not None
    assert ended.error == "ECONNREFUSED"


def test_of_several_retryable_answers_the_longest_pause_counts() -> None:
    slow = answer(429, retry_after_ms=30_000)
    _, ended = run(send(settings(ONE, TWO), Event(BODY)), answer(503, retry_after_ms=1_000), slow)
    assert ended is slow


def test_without_a_success_or_a_retryable_answer_the_event_is_refused_with_the_first() -> None:
    _, ended = run(send(settings(ONE, TWO), Event(BODY)), answer(410, body=b"gone"), answer(400))
    assert ended == answer(410, body=b"gone")


def test_an_address_that_the_network_refuses_to_open_is_not_retried_for_itself() -> None:
    assert run(send(settings(ONE), Event(BODY)), REFUSED_ADDRESS)[1] == REFUSED_ADDRESS
    assert run(send(settings(ONE, TWO), Event(BODY)), REFUSED_ADDRESS, answer(500))[1] == answer(500)
    assert run(send(settings(ONE, TWO), Event(BODY)), answer(400), REFUSED_ADDRESS)[1] == answer(400)


@given(
    statuses=st.lists(st.sampled_from([0, 200, 202, 301, 400, 401, 408, 429, 500, 501, 503]), min_size=1, max_size=5)
)
def test_the_verdict_is_the_best_of_all_answers(statuses: list[int]) -> None:
    urls = [f"https://h{n}.example/" for n in range(len(statuses))]
    _, ended = run(send(settings(*urls), Event(BODY)), *map(answer, statuses))
    verdicts = [verdict_of(status) for status in statuses]
    best = next(v for v in (Verdict.DELIVERED, Verdict.RETRY, Verdict.REFUSED) if v in verdicts)
    assert (Verdict.DELIVERED if ended is None else verdict_of(ended.status)) is best


def test_a_shared_secret_signs_the_body() -> None:
    (request,), _ = run(send(settings(ONE, sharedSecret="s3cret"), Event(BODY)), answer(200))
    assert headers(request)["X-Signature"] == hmac.new(b"s3cret", request.body, hashlib.sha1).hexdigest()
    assert json.loads(request.body) == json.loads(BODY)


def test_the_signature_holds_for_a_receiver_that_writes_the_parsed_body_again() -> None:
    body = b'{"type": "track", "messageId": "m\\/1", "event": "caf\\u00e9", "properties": {"n": [1, null]}}'
    (request,), _ = run(send(settings(ONE, sharedSecret="k"), Event(body)), answer(200))
    written_again = json.dumps(json.loads(request.body), ensure_ascii=False, separators=(",", ":")).encode()
    assert headers(request)["X-Signature"] == hmac.new(b"k", written_again, hashlib.sha1).hexdigest()


def test_a_known_signature() -> None:
    body = b'{"type":"track","messageId":"1"}'
    (request,), _ = run(send(settings(ONE, sharedSecret="key"), Event(body)), answer(200))
    assert headers(request)["X-Signature"] == "97facdc3377a97d86ba5a8935897ba602c269705"


def test_without_a_secret_there_is_no_signature() -> None:
    (request,), _ = run(send(settings(ONE, sharedSecret=""), Event(BODY)), answer(200))
    assert "X-Signature" not in headers(request)


def test_headers_go_to_all_addresses_and_those_of_one_address_win() -> None:
    made = settings(
        {"hook": ONE, "headers": {"x-team": "one", "X-Only": "1"}},
        TWO,
        headers={"X-Team": "all", "Authorization": "k"},
    )
    (first, second), _ = run(send(made, Event(BODY)), answer(200), answer(200))
    assert headers(first)["x-team"] == "one"
    assert headers(first)["X-Only"] == "1"
    assert headers(first)["Authorization"] == headers(second)["Authorization"] == "k"
    assert headers(second)["X-Team"] == "all"
    assert "X-Only" not in headers(second)


def test_the_user_agent_can_be_replaced() -> None:
    (request,), _ = run(send(settings(ONE, headers={"user-agent": "ours"}), Event(BODY)), answer(200))
    assert headers(request) == {"Content-Type": "application/json", "user-agent": "ours"}


def test_the_global_hook_is_one_of_the_addresses() -> None:
    made = check_settings(destination, {"globalHook": ONE})
    assert [request.url for request in run(send(made, Event(BODY)), answer(200))[0]] == [ONE]
    with pytest.raises(Invalid, match="1 to 5"):
        settings(*[TWO] * 5, globalHook=ONE)


@pytest.mark.parametrize("count", [0, 6, 50])
def test_one_to_five_addresses_are_needed(count: int) -> None:
    with pytest.raises(Invalid, match="settings"):
        settings(*[ONE] * count)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "one.example",
            "ftp://one.example/",
            "https://",
            "https:///path",
            "javascript:alert(1)",
            7,
            None,
        ),
        *(
            "https://one.example/a b",
            "https://one.example/\r\nHost: x",
            "https://one.example/\n",
            "\thttps://a/",
        ),
        *("https://user:secret-word@one.example/", "https://one.example:99999/", "https://one.example:0/"),
        *(
            "https://one.example:port/",
            "https://[::1/",
            "https://one.example/#part",
            "https://e.example/" + "x" * 2048,
        ),
        *("https://one.example/\x00", "https://one.example/\x7f"),
    ],
)
def test_an_address_that_cannot_be_called_as_it_stands_is_refused_unquoted(url: object) -> None:
    for given_hook in (url, {"hook": url}):
        with pytest.raises(Invalid) as refusal:
            settings(given_hook)
        assert "secret-word" not in str(refusal.value)
    if url is not None:
        with pytest.raises(Invalid):
            settings(globalHook=url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "https://[::1]:8443/x?y=z", "https://ünïcode.example/p"])
def test_ordinary_addresses_are_taken(url: str) -> None:
    assert settings(url).calls[0][0] == url


@pytest.mark.parametrize("name", [*sorted(RESERVED), "Host", "CONTENT-LENGTH", "X-SIGNATURE"])
def test_headers_that_frame_the_message_or_its_signature_cannot_be_set(name: str) -> None:
    with pytest.raises(Invalid, match="cannot be set"):
        settings(ONE, headers={name: "x"})
    with pytest.raises(Invalid, match="cannot be set"):
        settings({"hook": ONE, "headers": {name: "x"}})


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nHost", "ä", "a\x00", " a", "x" * 257, "(a)"])
def test_a_header_name_must_be_one_of_http(name: str) -> None:
    with pytest.raises(Invalid, match="a name is"):
        settings(ONE, headers={name: "x"})


@pytest.mark.parametrize(
    "value", ["", " ", "a\r\nb", "a\nb", "a\r", "a\n", "ä", "a\x00", " a", "a ", "x" * 8_193, "\x7f"]
)
def test_a_header_value_is_ascii_on_one_line_and_is_never_quoted(value: str) -> None:
    with pytest.raises(Invalid, match="the value of X-Key") as refusal:
        settings(ONE, headers={"X-Key": "sesame" + value if len(value) > 1_000 else value})
    assert "sesame" not in str(refusal.value)


def test_a_header_name_twice_in_two_cases_is_refused() -> None:
    with pytest.raises(Invalid, match="twice"):
        settings(ONE, headers={"X-A": "1", "x-a": "2"})


def test_too_many_headers_are_refused() -> None:
    with pytest.raises(Invalid, match="at most 50"):
        settings(ONE, headers={f"X-{n}": "1" for n in range(51)})


def test_a_batch_is_an_array_of_the_events() -> None:
    events = [Event(BODY.replace(b'"m"', b'"m%d"' % n)) for n in range(3)]
    requests, ended = run(send_batch(settings(ONE, TWO, batch_size=3), events), answer(500), answer(200))
    assert ended is None
    assert [request.url for request in requests] == [ONE, TWO]
    assert [item["messageId"] for item in json.loads(requests[0].body)] == ["m0", "m1", "m2"]
    assert requests[0].body == requests[1].body == b"[" + b",".join(event.body for event in events) + b"]"


def test_a_batch_is_signed_over_its_first_event_alone() -> None:
    events = [Event(BODY), Event(BODY.replace(b'"m"', b'"n"'))]
    (request,), _ = run(send_batch(settings(ONE, sharedSecret="k", batch_size=2), events), answer(200))
    (alone,), _ = run(send(settings(ONE, sharedSecret="k"), events[0]), answer(200))
    assert headers(request)["X-Signature"] == headers(alone)["X-Signature"]
    assert request.body.startswith(b"[" + alone.body + b",")


def test_an_event_sent_alone_is_an_array_of_one_where_batching_is_on() -> None:
    batching = settings(ONE, sharedSecret="k", batch_size=2)
    assert run(send(batching, Event(BODY)), answer(200)) == run(send_batch(batching, [Event(BODY)]), answer(200))


def test_a_batch_that_nobody_takes_ends_with_one_answer_for_all() -> None:
    events = [Event(BODY), Event(BODY.replace(b'"m"', b'"n"'))]
    assert run(send_batch(settings(ONE), events), answer(413))[1] == answer(413)


def test_batching_is_off_unless_a_size_is_given() -> None:
    assert destination.batch_size(settings(ONE)) == batch_size(settings(ONE)) == 1
    assert destination.batch_size(settings(ONE, batch_size=50)) == 50


@pytest.mark.parametrize("size", [0, -1, 1_001, 2.5, "2", True])
def test_a_batch_size_out_of_bounds_is_refused(size: object) -> None:
    with pytest.raises(Invalid):
        settings(ONE, batch_size=size)


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(Invalid):
        settings(ONE, sharedsecret="x")


def test_the_form_marks_what_is_secret() -> None:
    fields = {field.name: field for field in setting_fields(Settings)}
    assert list(fields) == ["hooks", "globalHook", "sharedSecret", "headers", "batch_size"]
    assert [name for name, field in fields.items() if field.secret] == ["sharedSecret", "headers"]
    assert fields["hooks"].secret_places == (("*", "headers"),)
    assert {name: field.type for name, field in fields.items()} == {
        "hooks": "array",
        "globalHook": "string",
        "sharedSecret": "string",
        "headers": "text-map",
        "batch_size": "number",
    }
    assert all(field.label and field.description for field in fields.values())
