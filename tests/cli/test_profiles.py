"""`segue profiles`: a profile as it is and as it came to be, and the tokens of the Profile API."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from segue.core.clock import iso
from segue.core.event import NewRecord
from segue.log.sqlite import SQLiteLogWriter
from segue.state.computed_rows import ComputationState, ComputedDelta, ComputeState, HoldingRow
from segue.wiring.clock import SystemClock
from segue.wiring.instance import Instance
from tests.resolve.events import START_MS, entry
from tests.resolve.rig import Rig

from .calling import Said, segue, succeeded

WORKSPACE = """\
workspace: {name: Shop, slug: shop}
sources: [{slug: web}]
spaces: [{slug: prod, sources: [web]}]
"""


class Shop:
    """An instance that has never run, and the file of its one space, as the worker would fill it."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.file = folder / "workspace.yaml"
        self.file.write_text(WORKSPACE)
        succeeded("apply", self.file, "--data", self.data)

    def call(self, *words: object) -> Said:
        return succeeded("profiles", *words, "--data", self.data)

    def refused(self, *words: object) -> str:
        return segue("profiles", *words, "--data", self.data).line

    def rig(self) -> Rig:
        path = Instance(self.data).profiles(1)
        path.parent.mkdir(parents=True)
        return Rig(path)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
def met(shop: Shop) -> Shop:
    """Jane comes in as two who are one; a stranger's shared address and a blocked one are kept off."""
    rig = shop.rig()
    rig.send("identify", userId="jane", traits={"plan": "pro", "seats": 3, "email": "j@x.com", "gone": None})
    rig.send("track", anonymousId="a1")
    rig.send("track", userId="jane", anonymousId="a1")
    rig.send("group", userId="jane", groupId="acme", traits={"name": "Acme"})
    rig.send("identify", userId="joe", traits={"email": "j@x.com"})
    rig.send("track", userId="joe", anonymousId="null")
    rig.send("track", userId="joe", anonymousId="null")
    rig.commit()
    rig.close()
    return shop


def at(offset: int) -> dict[str, str]:
    return {"received_at": iso(START_MS + offset * 1_000), "message_id": f"m{offset}", "source": "web"}


def test_get_shows_ids_traits_links_and_metadata(met):
    found = met.call("get", "user_id:jane", "--json").json
    assert re.fullmatch(r"use_\w{27}", found["profile"])
    account = met.call("get", "group_id:acme", "--json").json
    assert found == {
        "profile": found["profile"],
        "collection": "users",
        "external_ids": [
            {"type": "user_id", "id": "jane"},
            {"type": "email", "id": "j@x.com"},
            {"type": "anonymous_id", "id": "a1"},
        ],
        "traits": {"email": "j@x.com", "gone": None, "plan": "pro", "seats": 3},
        "computed": {},
        "links": [{"profile": account["profile"], "external_ids": [{"type": "group_id", "id": "acme"}]}],
        "metadata": {
            "created_at": at(0)["received_at"],
            "updated_at": at(3)["received_at"],
            "first_message_id": "m0",
            "first_source_id": "web",
            "last_message_id": "m3",
            "last_source_id": "web",
        },
    }
    assert (account["collection"], account["traits"]) == ("accounts", {"name": "Acme"})
    assert [each["profile"] for each in account["links"]] == [found["profile"]]


def test_a_profile_is_found_by_each_of_its_ids_and_by_the_persistent_id(met):
    found = met.call("get", "user_id:jane", "--json").json
    for name in (
        "email:j@x.com",
        "anonymous_id:a1",
        found["profile"],
        explained(met, "user_id:jane")["merges"][0]["absorbed"],
    ):
        assert met.call("get", name, "--space", "prod", "--json").json == found


def explained(shop: Shop, name: str) -> dict[str, Any]:
    found = shop.call("explain", name, "--json").json
    assert isinstance(found, dict)
    return found


def test_explain_shows_every_id_link_and_merge_with_the_event_that_caused_it(met):
    found = explained(met, "user_id:jane")
    assert found["created"] == at(0)
    assert found["external_ids"] == [
        {"type": "user_id", "id": "jane", **at(0)},
        {"type": "email", "id": "j@x.com", **at(0)},
        {"type": "anonymous_id", "id": "a1", **at(1)},
    ]
    (merge,) = found["merges"]
    assert merge == {"absorbed": merge["absorbed"], "into": found["profile"], **at(2)}
    assert re.fullmatch(r"use_\w{27}", merge["absorbed"]) and merge["absorbed"] != found["profile"]
    assert found["links"] == [{"profile": met.call("get", "group_id:acme", "--json").json["profile"], **at(3)}]
    assert (found["demoted"], found["blocked"]) == ([], [])


def test_explain_says_why_an_id_was_kept_off(met):
    found = explained(met, "user_id:joe")
    assert found["demoted"] == [
        {
            "type": "email", "id": "j@x.com", "count": 1, "first": at(4), "last": at(4), "reason": "limit:user_id",
            "owner": met.call("get", "user_id:jane", "--json").json["profile"],
        }
    ]  # fmt: skip
    assert found["blocked"] == [{"type": "anonymous_id", "id": "null", "count": 2, "first": at(5), "last": at(6)}]


def test_for_people_it_says_the_same(met):
    lines = met.call("get", "user_id:jane").out.splitlines()
    assert re.fullmatch(r"use_\w{27} \(users\)", lines[0])
    assert {"user_id       jane", 'plan   "pro"      custom', "seats  3          custom"} <= {
        line.rstrip() for line in lines
    }
    assert "group_id:acme" in lines[-1]
    told = met.call("explain", "user_id:jane").out
    assert f"made by m0 of web at {at(0)['received_at']}" in told
    assert re.search(r"^use_\w+ was merged into use_\w+ by m2 of web at ", told, re.MULTILINE)
    told = met.call("explain", "user_id:joe").out
    assert re.search(
        r"^email j@x.com was kept off once, by m4 .*: it would have broken the limit of user_id; it was of use_",
        told,
        re.MULTILINE,
    )
    assert re.search(
        r"^anonymous_id null was kept off 2 times, the last by m6 .*: the identity rules block", told, re.MULTILINE
    )


def test_what_a_terminal_would_obey_is_shown_quoted(shop):
    rig = shop.rig()
    rig.send("identify", userId="u\x1b[2J", traits={"a\nb": 1})
    rig.commit()
    rig.close()
    for word in ("get", "explain"):
        said = shop.call(word, "user_id:u\x1b[2J")
        assert "\x1b" not in said.out
        assert '"u\\u001b[2J"' in said.out


def test_who_is_not_there_is_one_line_that_says_why(met):
    assert met.refused("get", "user_id:nobody") == "PROFILE: no profile has the user_id 'nobody'"
    assert met.refused("get", "anonymous_id:null").endswith("; the identity rules block this value")
    assert met.refused("explain", "jane") == "PROFILE: no profile is called 'jane'; name it by an id, as in user_id:u1"
    assert 'did you mean "prod"?' in met.refused("get", "user_id:jane", "--space", "prd")


def test_before_any_event_is_resolved_it_says_so(shop):
    assert "has no profiles yet" in shop.refused("get", "user_id:jane")


def test_without_a_space_it_says_where_they_come_from(tmp_path):
    file = tmp_path / "workspace.yaml"
    file.write_text("workspace: {name: Shop, slug: shop}\n")
    succeeded("apply", file, "--data", tmp_path / "data")
    said = segue("profiles", "get", "user_id:jane", "--data", tmp_path / "data")
    assert said.line == "space: there is no space; a workspace file defines them under `spaces`"


def test_many_links_are_cut_and_it_says_so(shop):
    rig = shop.rig()
    for number in range(103):
        rig.send("group", userId=f"u{number}", groupId="acme")
    rig.commit()
    rig.close()
    found = shop.call("get", "group_id:acme", "--json").json
    assert (len(found["links"]), found["more_links"]) == (100, True)
    assert shop.call("get", "group_id:acme").out.endswith("and more than these 100\n")


def test_a_token_is_shown_once_listed_and_revoked(shop):
    said = segue("profiles", "token", "create", "backend", "--space", "prod", "--data", shop.data)
    token = said.out.strip()
    assert (said.code, said.err) == (0, "keep it now, it is not shown again; its name is backend\n")
    made = shop.call("token", "create", "--json").json
    assert made["name"] == "token-1" and made["token"] not in (token, "")
    listed = shop.call("token", "list", "--json").json
    assert [(each["name"], each["last_four"]) for each in listed] == [
        ("backend", token[-4:]), ("token-1", made["token"][-4:]),
    ]  # fmt: skip
    shown = shop.call("token", "list").out
    assert "backend" in shown and token not in shown
    assert token not in succeeded("export", "--data", shop.data).out
    assert (
        shop.call("token", "revoke", "backend").out == f"the token backend (...{token[-4:]}) reads nothing any more\n"
    )
    assert shop.refused("token", "revoke", "backend") == "name: the space 'prod' does not have a token 'backend'"
    assert [each["name"] for each in shop.call("token", "list", "--json").json] == ["token-1"]


def test_events_are_listed_by_name_and_the_newest_first(shop: Shop):
    rig = shop.rig()
    with closing(SQLiteLogWriter(Instance(shop.data).log, SystemClock())) as log:
        for n, name in enumerate(("Seen", "Paid", "Seen")):
            record, event = entry(n, "track", userId="u1", event=name, properties={"n": n})
            log.append([NewRecord("web", "track", "u1", record.message_id, record.received_at, record.body)])
            rig.apply([(record, event)])
    rig.commit()
    rig.close()
    found = shop.call("events", "user_id:u1", "--json").json
    assert [event["message_id"] for event in found["events"]] == ["m2", "m1", "m0"]
    assert found["events"][1] == {
        "message_id": "m1",
        "type": "track",
        "event": "Paid",
        "at": iso(START_MS + 1_000),
        "received_at": iso(START_MS + 1_000),
        "source": "web",
        "external_ids": [{"type": "user_id", "id": "u1"}],
        "properties": {"n": 1},
    }
    few = shop.call("events", "user_id:u1", "--event", "Seen", "--limit", "1", "--oldest-first", "--json").json
    assert [event["message_id"] for event in few["events"]] == ["m0"]
    assert few["more"]
    text = shop.call("events", "user_id:u1").out
    assert "Paid" in text and '{"n":1}' in text


def test_computed_traits_and_audiences_are_told_from_custom_ones_which_they_displace(shop):
    rig = shop.rig()
    rig.send("identify", userId="jane", traits={"plan": "pro", "vip": "says the source"})
    delta = rig.resolver.take()
    delta.computed = ComputedDelta(
        state=ComputeState(),
        computations={
            1: ComputationState(key="vip", kind="audience"),
            2: ComputationState(key="orders", kind="computed_trait"),
        },
        holdings=[(1, HoldingRow(1, "true", START_MS, 1, True)), (2, HoldingRow(1, "3", START_MS + 1, 1, False))],
    )
    rig.writer.commit([delta])
    rig.close()
    found = shop.call("get", "user_id:jane", "--json").json
    assert found["traits"] == {"orders": 3, "plan": "pro", "vip": True}
    assert found["computed"] == {
        "orders": {"class": "computed_trait", "since": iso(START_MS + 1)},
        "vip": {"class": "audience", "since": iso(START_MS)},
    }
    lines = {" ".join(line.split()) for line in shop.call("get", "user_id:jane").out.splitlines()}
    assert {"TRAIT VALUE KIND", "orders 3 computed trait", 'plan "pro" custom', "vip true audience"} <= lines
    assert explained(shop, "user_id:jane")["kept_aside"] == [{"trait": "vip", **at(0)}]
    told = shop.call("explain", "user_id:jane").out
    assert f"the trait vip of m0 of web at {iso(START_MS)} is not used: an audience or computed trait" in told
