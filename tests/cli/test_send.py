"""`send` and `destinations`: one event by hand, one call by hand, and the switches."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ..instance.running import Instance
from ..instance.waiting import until
from ..instance.workspace import vendor_entry, workspace_text
from .calling import Said, hint_in, segue, succeeded
from .echo import Echo, echoing

SECRET = "hunter2-shared-secret"


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    with echoing() as server:
        yield server


@pytest.fixture(scope="module")
def instance(make_shared: Any, echo: Echo) -> Instance:
    instance = make_shared(
        SEGUE_ALLOW_INTERNAL=f"{echo.place},127.0.0.1:1", ASTROLABE_KEY_OF_SERVER="demo-astrolabe-key"
    )
    hook = {"slug": "hook", "source": "website", "kind": "webhook", "enabled": False}
    entries = [
        vendor_entry(instance, "plotline", "website", "good"),
        vendor_entry(instance, "astrolabe", "website", "wrong", apiKey="not-the-key", enabled=False),
        {**hook, "settings": {"hooks": [f"http://{echo.place}/"], "sharedSecret": SECRET}},
        {**hook, "slug": "closed", "settings": {"hooks": ["http://127.0.0.1:1/"]}},
        {**hook, "slug": "inside", "settings": {"hooks": ["http://10.255.255.1/"]}},
        vendor_entry(instance, "astrolabe", "website", "servers", apiKey="${ASTROLABE_KEY_OF_SERVER}", enabled=False),
        vendor_entry(instance, "planhat", "website", "unset", apiKey="${PLANHAT_KEY_OF_NOBODY}", enabled=False),
    ]
    instance.file.write_text(workspace_text(entries))
    return instance.start()


@pytest.fixture
def call(instance: Instance) -> Any:
    def called(*arguments: object, stdin: str | bytes = "", **environ: str) -> Said:
        return segue(*arguments, "--data", instance.data, stdin=stdin, **environ)

    return called


# -- send ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["track", "identify", "page", "screen", "group", "alias"])
def test_a_made_event_of_each_type_is_accepted_and_can_be_explained(call, kind):
    said = call("send", "--type", kind)
    assert (said.code, said.out.splitlines()[0]) == (0, '200 {"success": true}')
    explained = segue(*hint_in(said.out, "explain").split()[1:], "--json").json
    assert (explained["outcome"], explained["event"]["type"]) == ("accepted", kind)


def test_a_made_event_says_what_it_was_told(call):
    said = call("send", "--user-id", "Größe", "--name", "It's done")
    event = segue(*hint_in(said.out, "explain").split()[1:], "--json").json["event"]
    assert (event["userId"], event["event"]) == ("Größe", "It's done")


@pytest.mark.parametrize("by_stdin", [False, True])
def test_a_given_event_is_sent_as_it_is_and_its_hint_is_quoted(call, by_stdin):
    text = json.dumps({"type": "page", "userId": "ü", "messageId": f"it's {by_stdin}"}, ensure_ascii=False)
    said = call("send", "-", stdin=text) if by_stdin else call("send", text)
    assert said.code == 0
    assert f"""explain 'it'"'"'s {by_stdin}' --data """ in said.out
    assert call("explain", f"it's {by_stdin}", "--json").json["event"]["userId"] == "ü"


def test_an_event_that_is_dropped_says_why_and_is_no_success(call):
    for event, code in (('{"userId": "u"}', "event_not_defined"), ('{"event": "E", "userId": 5}', "id_not_string")):
        said = call("send", event)
        assert said.code == 1
        first, second = said.out.splitlines()
        assert first == '200 {"success": true}'
        assert second.startswith(f"But it was dropped as {code}: ")
    said = call("send", "--write-key", "nobodys")
    assert said.code == 1
    assert "But it was dropped as unknown_source: No source has this write key." in said.out


def test_a_message_id_that_was_dropped_once_may_be_accepted_later(call):
    assert call("send", '{"messageId": "again", "userId": "u"}').code == 1
    said = call("send", '{"messageId": "again", "userId": "u", "event": "E"}')
    assert said.code == 0
    assert "dropped" not in said.out


def test_an_event_that_came_before_says_that_it_goes_to_nobody(call):
    text = '{"messageId": "came before", "userId": "u", "event": "E"}'
    assert "duplicate" not in call("send", text).out
    said = call("send", text)
    assert (said.code, said.out.splitlines()[1].startswith("But it is a duplicate: ")) == (0, True)
    assert "explain" in said.out.splitlines()[2]


def test_an_event_that_is_refused_shows_the_answer_and_no_hint(call):
    said = call("send", json.dumps({"userId": "u", "event": "E", "properties": {"big": "x" * 40_000}}))
    assert said.code == 1
    assert said.out.startswith('400 {"code":"payload_too_large"') and said.out.count("\n") == 1


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ("nothing", "EVENT: it is not JSON: "),
        ("[]", "EVENT: it must be one JSON object with a type of identify, track, "),
        ('{"type": "tracks"}', "EVENT: it must be one JSON object"),
    ],
)
def test_what_is_no_event_is_one_line(call, event, words):
    assert call("send", event).line.startswith(words)
    assert call("send", "-", stdin=event).line.startswith(words)


def test_an_unknown_type_is_one_line_and_options_beside_an_event_are_wrong_usage(call):
    assert call("send", "--type", "event").line.startswith("--type: 'event' is none of identify, track")
    said = call("send", "{}", "--type", "page")
    assert said.code == 2
    assert "EVENT says them itself" in said.err


def test_nothing_is_sent_where_no_server_runs(tmp_path):
    line = segue("send", "--data", tmp_path / "none").line
    assert line.startswith(f"--data: there is no Segue in {tmp_path}/none; start one with `")
    file = tmp_path / "file.yaml"
    file.write_text(workspace_text([], ["website"]))
    segue("apply", file, "--data", tmp_path / "stopped")
    line = segue("send", "--data", tmp_path / "stopped").line
    assert line.startswith(f"--data: no Segue runs in {tmp_path}/stopped; start it with `")


# -- destinations --------------------------------------------------------------------------------------------------


def test_the_destinations_are_listed(call):
    rows = call("destinations", "list").out.splitlines()
    assert rows[0].split() == ["SLUG", "NAME", "KIND", "SOURCE", "STATE"]
    assert rows[1].split() == ["good", "good", "plotline", "website", "on"]
    shown = call("destinations", "list", "--json").json
    assert shown[1] == {"slug": "wrong", "name": "wrong", "kind": "astrolabe", "source": "website", "enabled": False}


def test_a_running_server_follows_the_switches(call, instance):
    assert call("destinations", "disable", "good").out == "good is off\n"
    instance.send({"type": "track", "userId": "u", "event": "E", "messageId": "while-off"}, key="website-key")
    until(lambda: instance.destination("good")["filtered"].get("DESTINATION_DISABLED"), "it counts as filtered")
    assert call("destinations", "enable", "good").out == call("destinations", "enable", "good").out == "good is on\n"
    instance.send({"type": "track", "userId": "u", "event": "E", "messageId": "while-on"}, key="website-key")
    until(lambda: "while-on" in instance.vendor("plotline").message_ids(), "it is delivered")
    assert "while-off" not in instance.vendor("plotline").message_ids()


@pytest.mark.parametrize("word", ["enable", "disable", "test"])
def test_a_destination_that_is_none_is_one_line_with_a_suggestion(call, word):
    assert (
        call("destinations", word, "goood").line
        == "destination: there is no destination 'goood'; did you mean \"good\"?"
    )


def test_a_call_that_is_taken_shows_the_vendors_words(call):
    said = call("destinations", "test", "good")
    assert (said.code, said.err) == (0, "")
    assert '  answered 200: {"success":true}' in said.out.splitlines()
    assert said.out.splitlines()[-1] == "delivered"


def test_a_key_that_is_refused_shows_the_vendors_words(call):
    said = call("destinations", "test", "wrong")
    assert said.code == 1
    assert "  answered 401: " in said.out
    assert said.out.splitlines()[-1].startswith("not delivered: INVALID_AUTHENTICATION")


def test_what_a_vendor_says_back_holds_no_secret(call, echo):
    echo.status = 200
    said = call("destinations", "test", "hook")
    assert said.code == 0
    assert "X-Signature: ***" in said.out and SECRET not in said.out


def test_a_vendor_that_is_not_there_is_told_as_that(call):
    said = call("destinations", "test", "closed")
    assert said.code == 1
    assert "  no answer: nothing listens there (ECONNREFUSED)" in said.out
    assert said.out.splitlines()[-1] == "not delivered; a real event would be tried again"


def test_an_address_that_is_refused_is_told_with_what_allows_it(call):
    said = call("destinations", "test", "inside", SEGUE_ALLOW_INTERNAL="10.0.0.0/8")  # of this shell, not the server's
    assert said.code == 1
    assert said.out.splitlines()[-1].startswith("not delivered: ADDRESS_REFUSED. ")
    assert "SEGUE_ALLOW_INTERNAL" in said.out


def test_settings_that_cannot_be_used_are_one_line(call):
    assert "PLANHAT_KEY_OF_NOBODY is not set" in call("destinations", "test", "unset").line


def test_the_running_server_makes_the_call_with_its_own_environment(call):
    said = call("destinations", "test", "servers")
    assert said.code == 0, said
    assert said.out.splitlines()[0] == (
        "one identify call to Astrolabe, made by the running server, as it would deliver an event"
    )


def test_a_destination_is_tested_from_here_where_no_server_runs(instance, echo, tmp_path):
    file = tmp_path / "file.yaml"
    file.write_text(instance.file.read_text())
    data = ("--data", tmp_path / "data")
    succeeded("apply", file, *data)
    echo.status = 200
    said = segue("destinations", "test", "hook", *data, SEGUE_ALLOW_INTERNAL=echo.place)
    assert (said.code, said.out.splitlines()[0]) == (
        0, "one identify call to Webhooks, made from here, with the environment of this shell: no server runs",
    )  # fmt: skip
    said = segue("destinations", "test", "good", *data)
    assert said.code == 1
    assert "ADDRESS_REFUSED" in said.out and "sandboxes" not in said.out  # they are another instance's


def test_a_server_that_runs_without_its_sandboxes_says_how_to_run_with_them(make):
    instance = make().start()
    instance.terminate()
    instance.start(arguments=["up", "--single", "--data", str(instance.data), "--port", str(instance.port)])
    start = f"up --port {instance.port} --single --sandbox-port {instance.sandbox_port} --data {instance.data}"
    said = segue("destinations", "test", "plotline", "--data", instance.data)
    assert (said.code, "SEGUE_ALLOW_INTERNAL" in said.out) == (1, False)
    assert hint_in(said.out, "up").endswith(start)
    remedy = f"which do not run: start Segue with --sandbox-port {instance.sandbox_port}, or give another address"
    until(lambda: "stall" in instance.destination("plotline"), "it stands still")
    assert remedy in succeeded("status", "--data", instance.data).out
    assert f"BAD  plotline stands still: it sends to this instance's sandboxes at {instance.sandbox_url}, {remedy}" in (
        segue("doctor", "--data", instance.data).out.splitlines()
    )


def test_the_sandboxes_of_an_instance_that_has_ended_are_not_trusted_but_named(make, instance):
    ended = make()
    ended.file.write_text(workspace_text([vendor_entry(ended, "plotline", "website", "good")]))
    ended.start()
    ended.terminate()
    said = segue("destinations", "test", "good", "--data", ended.data)
    assert said.code == 1
    assert "not delivered: ADDRESS_REFUSED" in said.out
    start = hint_in(said.out, "up")
    assert said.out.splitlines()[-1].startswith("it is the address of this instance's sandboxes, which do not run now;")
    assert start.endswith(f"up --port {ended.port} --sandbox-port {ended.sandbox_port} --data {ended.data}")
    for words in (["status"], ["doctor"], ["send"]):
        assert (
            hint_in(str(segue(*words, "--data", ended.data)), "up").partition(" up ")[2] == start.partition(" up ")[2]
        )
