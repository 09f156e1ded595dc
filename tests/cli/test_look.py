"""`status`, `explain` and `tail` of a running instance whose destinations have every kind of fate."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import requests

from ..instance.events import message_id, track
from ..instance.running import Instance
from ..instance.waiting import until
from ..instance.workspace import vendor_entry, workspace_text
from .calling import Said, begun, hint_in, segue, succeeded
from .echo import Echo, echoing

SECRET, TOKEN, KEY = "hunter2-shared-secret", "hunter2/token+value", "demo-plotline-key"


class Rig(NamedTuple):
    """An instance and the events that it was sent."""

    instance: Instance
    events: dict[str, dict[str, Any]]

    def call(self, *arguments: object) -> Said:
        """`segue ARGUMENTS` about this instance."""
        return segue(*arguments, "--data", self.instance.data)

    def explain(self, name: str, *more: str) -> dict[str, Any]:
        """The fixed form of one of the events."""
        return succeeded("explain", self.events[name]["messageId"], "--json", *more, "--data", self.instance.data).json

    def delivery(self, name: str, slug: str) -> dict[str, Any]:
        """One of its deliveries."""
        return next(each for each in self.explain(name)["deliveries"] if each["destination"] == slug)


def hook(slug: str, url: str, **more: Any) -> dict[str, Any]:
    settings = {"hooks": [url], "sharedSecret": SECRET, "headers": {"Authorization": f"Bearer {TOKEN}"}}
    return {"slug": slug, "source": "website", "kind": "webhook", "enabled": True, "settings": settings, **more}


def workspace(instance: Instance, echo: Echo) -> str:
    url = f"http://{echo.place}/hook?token=hunter2%2Ftoken%2Bvalue"
    plotline = vendor_entry(instance, "plotline", "website", "good")
    plotline["settings"]["endpoint"] += f"?key={KEY}"
    return workspace_text(
        [
            plotline,
            vendor_entry(instance, "astrolabe", "website", "late"),
            vendor_entry(instance, "pointillist", "website", "unset", apiKey="${POINTILLIST_KEY_OF_NOBODY}"),
            vendor_entry(instance, "planhat", "website", "off", enabled=False),
            hook("echo", url),
            hook("unreachable", "http://10.255.255.1:9/"),
        ],
        ["website", "app"],
    )


@pytest.fixture(scope="module")
def rig(make_shared: Any) -> Iterator[Rig]:
    with echoing() as echo:
        instance = make_shared(SEGUE_ALLOW_INTERNAL=echo.place)
        instance.file.write_text(workspace(instance, echo))
        instance.start()
        events = {
            "delivered": track("u1"),
            "twice": track("u2"),
            "screen": {"type": "screen", "userId": "u3", "name": "Home", "messageId": message_id()},
            "excluded": track("u4", integrations={"All": False}),
            "bundled": track("u5", integrations={}, _metadata={"bundled": ["Plotline"]}),
            "exact": track("u6", properties={"n": 12345678901234567890, "price": 1.10, "text": "Größe\n🎉"}),
        }
        instance.vendor("astrolabe").fault(status=503, times=1_000_000)
        instance.send(*events.values(), key="website-key")
        instance.settled("good", "off", "echo", "unreachable")
        echo.status = 400
        events["refused"] = track("u7")
        instance.send(events["refused"], key="website-key")
        instance.send(events["twice"], events["twice"], key="app-key")
        events["dropped"] = track("u8") | {"userId": 8}
        instance.post("/v1/track", events["dropped"], "website-key")
        events["stranger"] = track("u9")
        instance.post("/v1/track", events["stranger"], "nobodys-key")
        instance.settled("good", "off", "echo", "unreachable")
        until(lambda: instance.destination("late")["retrying"] == 5, "all of them wait for a retry")
        yield Rig(instance, events)


# -- status --------------------------------------------------------------------------------------------------------


def test_status_has_the_fixed_form(rig):
    found = rig.call("status", "--json").json
    assert {"sources", "destinations", "stages"} <= set(found)
    assert found["sources"] == [
        {"slug": "website", "accepted": 7, "duplicates": 0, "dropped": {"id_not_string": 1}},
        {"slug": "app", "accepted": 1, "duplicates": 1, "dropped": {}},
    ]
    assert found["unknown_keys"] == {"dropped": {"unknown_source": 1}}
    types = {
        "slug": str, "kind": str, "enabled": bool, "sources": list, "accepted": int, "delivered": int,
        "filtered": dict, "refused": dict, "retrying": int, "lag": int, "breaker": str,
        "breaker_reason": str | None, "sandbox": bool,
    }  # fmt: skip
    for entry in found["destinations"]:
        assert all(isinstance(entry[name], kind) for name, kind in types.items()), entry
        assert set(entry) - set(types) <= {"stall", "dead_letters_cut"}
        outcomes = entry["delivered"], *entry["filtered"].values(), *entry["refused"].values()
        assert entry["accepted"] == sum(outcomes) + entry["retrying"] + entry["lag"] == 7
    shown = {entry["slug"]: entry for entry in found["destinations"]}
    assert shown["good"]["filtered"] == {
        "FILTERED_BY_INTEGRATIONS_OBJECT": 1, "MESSAGE_SENT_CLIENT_SIDE": 1, "UNSUPPORTED_EVENT_TYPE": 1,
    }  # fmt: skip
    assert shown["off"]["filtered"] == {"DESTINATION_DISABLED": 7}
    assert shown["echo"]["refused"] == {"BAD_REQUEST": 1}
    assert shown["unreachable"]["refused"] == {"ADDRESS_REFUSED": 6}
    assert (shown["late"]["retrying"], shown["late"]["breaker_reason"]) == (5, None)
    assert (shown["unset"]["lag"], shown["good"]["sandbox"], shown["echo"]["sandbox"]) == (7, True, False)
    assert "POINTILLIST_KEY_OF_NOBODY is not set" in shown["unset"]["stall"]
    lags = {"deliver": 7, "compute": 0, "lake": 0, "outbox": 0}
    assert found["stages"] == [{"name": name, "lag": lag} for name, lag in lags.items()]


def test_status_for_people_fits_a_terminal_and_says_what_needs_attention(rig):
    said = rig.call("status").out
    tables, _, notes = said.rpartition("\n\n")
    assert max(len(line) for line in tables.splitlines()) <= 80
    for line in (
        "website: dropped id_not_string 1",
        "echo: refused BAD_REQUEST 1",
        "off: filtered DESTINATION_DISABLED 7",
        "on this instance's own sandboxes: good, late, unset, off",
        "! unset stands still: settings.apiKey: the environment variable POINTILLIST_KEY_OF_NOBODY is not set; "
        "it must be in the environment of `segue up`, which reads it when it starts",
    ):
        assert line in notes.splitlines()
    assert "! 1 event came with a write key that no source has" in notes
    assert "unknown_source" in segue(*hint_in(notes, "tail").split()[1:]).out


# -- explain -------------------------------------------------------------------------------------------------------


def test_explain_has_the_fixed_form_where_an_event_was_delivered(rig):
    found = rig.explain("delivered")
    assert list(found) == ["messageId", "source", "receivedAt", "outcome", "event", "deliveries"]
    assert (found["source"], found["outcome"]) == ("website", "accepted")
    assert found["event"]["messageId"] == found["messageId"] == rig.events["delivered"]["messageId"]
    assert found["receivedAt"] == found["event"]["receivedAt"]
    delivery = rig.delivery("delivered", "good")
    assert (delivery["outcome"], "reason" in delivery) == ("delivered", False)
    (attempt,) = delivery["attempts"]
    assert list(attempt) == ["at", "duration_ms", "request", "response"]
    assert isinstance(attempt["at"], str) and isinstance(attempt["duration_ms"], int)
    request = attempt["request"]
    assert (request["method"], request["rebuilt"]) == ("POST", True)
    assert json.loads(request["body"]) == found["event"]
    assert attempt["response"] == {"status": 200, "body": '{"success":true}'}


def test_an_event_is_explained_to_the_byte(rig):
    said = rig.call("explain", rig.events["exact"]["messageId"], "--json").out
    assert '"n": 12345678901234567890' in said
    assert json.loads(said)["event"]["properties"] == rig.events["exact"]["properties"]


@pytest.mark.parametrize(
    ("name", "slug", "code"),
    [
        ("screen", "good", "UNSUPPORTED_EVENT_TYPE"),
        ("excluded", "good", "FILTERED_BY_INTEGRATIONS_OBJECT"),
        ("bundled", "good", "MESSAGE_SENT_CLIENT_SIDE"),
        ("delivered", "off", "DESTINATION_DISABLED"),
    ],
)
def test_a_filtered_event_says_by_which_code(rig, name, slug, code):
    assert rig.delivery(name, slug) == rig.delivery(name, slug) | {
        "outcome": "filtered",
        "reason": code,
        "attempts": [],
    }


def test_a_refused_event_keeps_the_real_request_and_the_vendors_answer(rig):
    delivery = rig.delivery("refused", "echo")
    assert (delivery["outcome"], delivery["reason"]) == ("refused", "BAD_REQUEST")
    (attempt,) = delivery["attempts"]
    assert "rebuilt" not in attempt["request"]
    assert (attempt["response"]["status"], "error" in attempt) == (400, False)
    assert rig.events["refused"]["messageId"] in attempt["request"]["body"]
    (never,) = rig.delivery("delivered", "unreachable")["attempts"]
    assert (rig.delivery("delivered", "unreachable")["reason"], "response" in never) == ("ADDRESS_REFUSED", False)
    assert never["error"]


def test_a_retrying_event_shows_every_attempt_and_what_decides_about_the_next(rig):
    until(lambda: len(rig.delivery("delivered", "late")["attempts"]) > 1, "there was another attempt")
    delivery = rig.delivery("delivered", "late")
    assert (delivery["outcome"], delivery["sandbox"]) == ("retrying", True)
    # Ten failures of five users open the breaker, sooner or later; then no time decides any more.
    assert delivery.get("waits_for") == "probe" or delivery["due"] > delivery["attempts"][-1]["at"]
    assert {attempt["response"]["status"] for attempt in delivery["attempts"]} == {503}
    # Only the newest request is kept as it was; older ones are made again.
    assert [attempt["request"].get("rebuilt", False) for attempt in delivery["attempts"]][-2:] == [True, False]


def test_an_event_before_a_cursor_that_stands_is_waiting(rig):
    assert rig.delivery("delivered", "unset") == {
        "destination": "unset", "outcome": "waiting", "attempts": [], "sandbox": True,
    }  # fmt: skip


@pytest.mark.parametrize(("name", "source", "code"), [
    ("dropped", "website", "id_not_string"), ("stranger", "", "unknown_source"),
])  # fmt: skip
def test_a_dropped_event_says_why_and_is_shown_as_it_came(rig, name, source, code):
    found = rig.explain(name)
    assert (found["outcome"], found["source"], found["reason"], found["deliveries"]) == ("dropped", source, code, [])
    assert found["event"] == rig.events[name]
    assert code in rig.call("explain", rig.events[name]["messageId"]).out


def test_no_secret_is_shown_wherever_it_stood(rig):
    for name in ("delivered", "refused"):
        for form in (["--json"], []):
            said = rig.call("explain", rig.events[name]["messageId"], *form).out
            for secret in (SECRET, TOKEN, "hunter2%2Ftoken%2Bvalue", KEY, "hunter2"):
                assert secret not in said
    (attempt,) = rig.delivery("refused", "echo")["attempts"]
    assert attempt["request"]["headers"]["Authorization"] == "***"
    assert attempt["request"]["headers"]["X-Signature"] == "***"
    assert attempt["request"]["url"].endswith("/hook?token=***")
    answer = attempt["response"]["body"].splitlines()
    assert "/hook?token=***" in answer
    assert {"Authorization: ***", "X-Signature: ***"} <= set(answer)
    (good,) = rig.delivery("delivered", "good")["attempts"]
    assert good["request"]["headers"]["Authorization"] == "Basic ***"
    assert good["request"]["url"].endswith("?key=***")


def test_an_answer_of_a_delivered_event_holds_no_secret_either(rig):
    (attempt,) = rig.delivery("delivered", "echo")["attempts"]
    assert {"Authorization: ***", "X-Signature: ***"} <= set(attempt["response"]["body"].splitlines())
    assert attempt["request"]["headers"]["X-Signature"] == "***"


def test_the_same_message_id_of_two_sources_is_chosen_by_source(rig):
    number = rig.events["twice"]["messageId"]
    said = rig.call("explain", number, "--json")
    assert said.json["source"] == "website"
    more = "more with this messageId: app (accepted), app (duplicate); see --all and --source"
    assert said.err == f"2 {more}\n"
    chosen = rig.call("explain", number, "--json", "--source", "app")
    assert (chosen.json["source"], chosen.json["outcome"], chosen.json["deliveries"]) == ("app", "accepted", [])
    assert chosen.err == "1 more with this messageId: app (duplicate); see --all and --source\n"
    line = rig.call("explain", number, "--source", "shop").line
    from_where = "app (accepted), app (duplicate), website (accepted)"
    assert line == f"--source: {number!r} did not come from 'shop', but from: {from_where}"


def test_every_event_of_a_message_id_is_an_object_on_a_line_of_its_own(rig):
    number = rig.events["twice"]["messageId"]
    said = succeeded("explain", number, "--json", "--all", "--data", rig.instance.data)
    found = [json.loads(line) for line in said.out.splitlines()]
    assert [(each["source"], each["outcome"]) for each in found] == [
        ("website", "accepted"), ("app", "accepted"), ("app", "duplicate"),
    ]  # fmt: skip
    assert found[2]["event"]["messageId"] == number and found[2]["deliveries"] == []
    assert found[2]["receivedAt"] == found[2]["event"]["receivedAt"]
    for_people = succeeded("explain", number, "--all", "--source", "app", "--data", rig.instance.data).out
    assert "its messageId had come within dedup.window before" in for_people


def test_a_message_id_that_is_not_held_is_one_line(rig):
    assert rig.call("explain", "never sent").line.startswith("no event with messageId 'never sent' is held")
    assert rig.call("explain", os.fsdecode(b"\xff")).line == "an argument is not valid UTF-8"


def test_explain_for_people_ends_with_what_to_do(rig):
    number = rig.events["refused"]["messageId"]
    said = rig.call("explain", number).out
    assert "The vendor answered 400." in said
    assert hint_in(said, "redrive").endswith(f"redrive echo --message-id {number} --data {rig.instance.data}")
    assert hint_in(said, "replay").endswith(f"replay off --message-id {number} --data {rig.instance.data}")


# -- tail ----------------------------------------------------------------------------------------------------------


def test_tail_shows_the_newest_events_the_dropped_ones_among_them(rig):
    lines = rig.call("tail", "--no-follow", "-n", "3").out.splitlines()
    assert len(lines) == 3
    assert any(line.endswith("DROPPED id_not_string") and rig.events["dropped"]["messageId"] in line for line in lines)
    assert any(line.endswith("DROPPED unknown_source") and "  -  " in line for line in lines)
    assert rig.call("tail", "--no-follow", "-n", "0").out == ""


def test_tail_shows_each_event_as_json_on_one_line_and_exact(rig):
    lines = rig.call("tail", "--no-follow", "-n", "100", "--json").out.splitlines()
    shown = [json.loads(line) for line in lines]
    assert [each["event"]["messageId"] for each in shown if "reason" not in each][:2] == [
        rig.events["delivered"]["messageId"], rig.events["twice"]["messageId"],
    ]  # fmt: skip
    assert {each["reason"] for each in shown if "reason" in each} >= {"id_not_string", "unknown_source"}
    (line,) = [line for line in lines if "12345678901234567890" in line]
    assert '"price":1.1,' in line and "Größe" in json.loads(line)["event"]["properties"]["text"]


def test_tail_of_one_source_shows_no_other_and_knows_the_sources(rig):
    lines = rig.call("tail", "--no-follow", "--source", "app").out.splitlines()
    assert len(lines) == 1 and "  app  " in lines[0]
    assert (
        rig.call("tail", "--source", "websit").line == "source: there is no source 'websit'; did you mean \"website\"?"
    )


def test_tail_follows_what_is_accepted_and_what_is_dropped_until_ctrl_c(rig):
    good, bad = track("followed"), track("followed") | {"userId": 1}
    with begun("tail", "-n", "1", "--json", "--data", rig.instance.data) as running:
        running.line()  # from here on it misses nothing
        rig.instance.send(good, key="app-key")
        rig.instance.post("/v1/track", bad, "app-key")
        seen = sorted((json.loads(running.line()) for _ in range(2)), key=lambda each: each["event"]["messageId"])
        assert [each["event"]["messageId"] for each in seen] == sorted([good["messageId"], bad["messageId"]])
        assert [each.get("reason") for each in seen if each["event"]["userId"] == 1] == ["id_not_string"]
        said = running.interrupted()
    assert (said.code, said.err) == (130, "")


def test_tail_into_a_pipe_that_is_closed_ends_without_a_word(rig):
    with begun("tail", "-n", "3", "--data", rig.instance.data) as running:
        running.line()
        running.stdout.close()
        rig.instance.send(track("unread"), key="app-key")
        said = running.ended()
    assert (said.code, said.err) == (0, "")


def test_a_dropped_body_that_is_not_utf_8_is_refused_and_one_that_was_cut_is_shown_as_text(rig):
    body = b'{"messageId":"not utf-8","userId":"u","event":"\xff"}'
    for key in ("website-key", "nobodys-key"):
        answer = requests.post(f"{rig.instance.url}/v1/track", data=body, auth=(key, ""), timeout=10)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_utf8")
    assert rig.call("explain", "not utf-8").code == 1
    # What is kept of a dropped body has a bound, which may fall between the bytes of a letter.
    for shift in ("", "x"):
        cut = track("u", shift + "ü" * 40_000)
        batch = json.dumps({"batch": [cut]}, ensure_ascii=False).encode()
        requests.post(f"{rig.instance.url}/v1/batch", data=batch, auth=("website-key", ""), timeout=10)
        found = rig.call("explain", cut["messageId"], "--json").json
        assert (found["reason"], found["event"][:1]) == ("event_too_large", "{")
        assert isinstance(found["event"], str) and "üü" in found["event"]
        assert cut["messageId"] in rig.call("explain", cut["messageId"]).out
        assert rig.call("tail", "--no-follow", "-n", "1", "--json").json["messageId"] == cut["messageId"]
