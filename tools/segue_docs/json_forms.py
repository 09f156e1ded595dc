"""The page of the JSON forms: what `status`, `explain`, `profiles`, `audiences` and `traits` print with `--json`.

Rule: the status shown is made by the code that `segue status` runs; a field of any form without words is an error.
"""

# ruff: noqa: E501 - tables: one row a line

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterable, Iterator
from typing import Any

from segue.control import (
    computed,
    explain,
    profile_events,
    profiles,
    questions,
    rebuilt,
    reconcile,
    sayings,
    standing,
    status,
)
from segue.deliver import history
from segue.lake.manifest import Position
from segue.log import Ends
from segue.state.control import Control, DestinationRow, SourceRow, WorkspaceRow
from segue.state.deliveries import DestinationState
from segue.state.profile_rows import ProfilesState
from segue.state.spaces import SpaceRow
from segue_docs import computed_forms
from segue_docs.markdown import block, code, generated_from, table

_HEAD = """# JSON forms

Scripts may rely on these forms: fields may be added, none is renamed or removed.

"""

_STATUS = """## segue status --json {#status}

In every answer, at any moment and under load, each destination's numbers add up:
`accepted = delivered + filtered + refused + retrying + lag`.

"""

STATUS: dict[str, str] = {
    "sources": "One entry for each source, then one for each space's own source.",
    "space": "Only of a space's own source: the slug of the space. Ours.",
    "destinations": "One entry for each destination.",
    "unknown_keys": "What came with a write key that no source has: `dropped` as of a source. Ours.",
    "replays": "One entry for each replay that is not over, with its numbers as of `segue replay --json`, and each redrive that the worker has not taken up. Ours.",
    "job": "Of a replay: its number.",
    "state": 'Of a replay: `"waiting"` until the worker takes it up, then `"running"`; `"cancelled"` while something of it is on its way.',
    "expired": "Of a replay or a space: records of the log, of any source, that retention dropped before it read them.",
    "spaces": "One entry for each space. Ours.",
    "users": "Of a space: its user profiles now.",
    "accounts": "Of a space: its account profiles now.",
    "applied": "Of a space: events of its sources that reached a profile.",
    "skipped": "Of a space: events of its sources that reached none, by [reason code](error-codes.md#skipped).",
    "lake_lag": "Of a space: records of the log that its event history has not passed.",
    "outbox": "Of a space: messages of its audiences and computed traits that are not known to be in the log yet.",
    "destination": "The slug of the destination that it goes to.",
    "stages": "What reads the log, each with its `name` and the largest `lag` in it: of `deliver` the events of a destination, of `compute` the records of the log that a space has not read, of `lake` those that its event history has not passed (a minute's worth is usual), of `outbox` the messages of a space on their way to the log.",
    "name": "The stage.",
    "slug": "The slug of the source, the destination or the space.",
    "accepted": "Of a source: its events in the log, ever. Of a destination: those since it was connected, and of a space since it tells it.",
    "duplicates": "Events that came again within the deduplication window. Not accepted, not dropped.",
    "dropped": "Dropped events by [reason code](error-codes.md#dropped).",
    "kind": "The slug of the catalog entry.",
    "enabled": "Whether it is switched on.",
    "sources of a destination": "The slugs of the sources that it reads, `space:SLUG` of a space that tells it of audiences or computed traits among them; so of a space.",
    "delivered": "Events with a 2xx.",
    "filtered": "By [reason code](error-codes.md#filtered).",
    "refused": "By [reason code](error-codes.md#refused); a redrive takes them back.",
    "retrying": "Events that wait for a retry, or behind one of the same user.",
    "lag": "Events with no final outcome and no retry row yet; of a space, records of the log that it has not read.",
    "breaker": '`"closed"`, `"open"` or `"half_open"`.',
    "breaker_reason": '`null`, `"failing"` or `"key_refused"`.',
    "sandbox": "Whether it sends to this instance's own sandboxes. Ours.",
    "clock": "Only where `SEGUE_CLOCK` [moves the clock](../how-to/move-the-clock.md): as it is set. Ours.",
    "clock_behind_ms": "Only where the clock is behind the newest event, by a minute or more: by how much, in ms. Ours.",
    "stall": "Only where the cursor of a destination, of a space or of its history stands: why. Numbers of a space whose files are broken are 0. Ours.",
    "dead_letters_cut": "Only where there are any: dead letters beyond the bound, whose body is gone. Ours.",
}

_EXPLAIN = """## segue explain MESSAGE_ID --json {#explain}

One event. Where several have the messageId (two sources, or one that came again, or was dropped), the first is printed,
accepted ones before the others, then the newest, those with an unknown write key last; and these are named on stderr; `--source` chooses, `--all` prints one object a line.

"""

EXPLAIN: dict[str, str] = {
    "messageId": "As asked.",
    "source": "The slug of the source; empty where the write key was unknown.",
    "receivedAt": "When the collector had it.",
    "outcome": 'Of the event: `"accepted"`, `"duplicate"` or `"dropped"`. Of a delivery: `"delivered"`, `"filtered"`, `"refused"`, `"retrying"` or `"waiting"`.',
    "reason": "The [code](error-codes.md) where there is one; `expired` where it was delivered longer ago than its line is kept.",
    "event": "The event as the log holds it; a duplicate as the log would; a dropped one as it was sent.",
    "deliveries": "One entry for each destination that reads the source and was connected by then.",
    "destination": "Its slug.",
    "attempts": "In order, the newest ten. None where they are no longer kept.",
    "at": "When the attempt began.",
    "duration_ms": "How long it took.",
    "request": "What was sent, secrets masked.",
    "method": "Of the request.",
    "url": "Of the request.",
    "headers": "Of the request.",
    "body": "Of the request; of the answer, its first 512 bytes.",
    "rebuilt": "`true` where the request was not kept but made again from the event and the settings of that time (those of today where they are no longer kept).",
    "other_requests": "Only where an attempt made several (a webhook with several addresses): the others, made again. The answer shown is that of one of them all, a 2xx if there was one. Ours.",
    "batch_size": "Only beside a request made again with batching on: the most events in one request. This one is shown alone. Ours.",
    "response": "The vendor's answer; in its place `error` where none came.",
    "status": "The vendor's HTTP status.",
    "error": "Why no answer came ([codes](error-codes.md#connection)), or why nothing could be sent.",
    "due": "Only of a retrying delivery, where a time decides: when the next attempt is due. Ours.",
    "waits_for": 'Of a retrying delivery in place of `due`: `"enabling"` while the destination is disabled, `"probe"` while its breaker is not closed (it may be the next probe, at any time), `"stall"` while the destination stands still as `status` says, `"turn"` behind an earlier event of its lanes. Ours.',
    "sandbox": "Only `true`, where it went to this instance's own sandboxes. Ours.",
}

_PROFILES = """## segue profiles get PROFILE --json {#profiles-get}

What a profile is. What `segue profiles explain PROFILE --json` adds, and how a profile is found:
[Profiles](../concepts/profiles.md).

"""

PROFILES: dict[str, str] = {
    "profile": "The persistent id.",
    "collection": '`"users"` or `"accounts"`.',
    "external_ids": "Every id, with `type` and `id`, in the order in which they came; in `explain` with the event that brought it.",
    "type": "Of an id: such as `user_id`.",
    "id": "Of an id: the value.",
    "traits": "By name, computed traits and audiences among them; `null` where it was set to null. Only `get`.",
    "computed": "Which of the traits the space has computed, by name. Only `get`.",
    "class": 'Of a computed one: `"audience"` or `"computed_trait"`.',
    "since": "Of a computed one: since when it has been so.",
    "kept_aside": "What sources have sent as `trait` under the name of a computed trait or audience, with the event; it is used nowhere. Only `explain`.",
    "trait": "Of what is kept aside: its name.",
    "links": "The accounts of a user, the users of an account, the first 100: in `get` with their ids (100 at most), in `explain` with the event that made the link.",
    "more_links": "Only `true`, where there are more. Only `get`.",
    "traits_left_out": "Only where there are any: how often a trait beyond the 1,000th was left out. Only `get`.",
    "metadata": "The first and the last event of the profile. Only `get`.",
    "created_at": "When the first was received.",
    "updated_at": "When the last was received.",
    "first_message_id": "The messageId of the first.",
    "first_source_id": "The slug of its source.",
    "last_message_id": "The messageId of the last.",
    "last_source_id": "The slug of its source.",
    "created": "The event that made the profile.",
    "received_at": "Of an event: when the collector had it.",
    "message_id": "Of an event: its messageId.",
    "source": "Of an event: the slug of its source.",
    "merges": "Every merge, in the order of the log, with the event that caused it; those of the profiles it absorbed among them.",
    "absorbed": "Of a merge: the persistent id of the profile that ended.",
    "into": "Of a merge: the persistent id of the one that it became part of.",
    "demoted": "Ids that events brought and that were kept off, 100 at most of each profile.",
    "reason": 'Of a demoted id: `"limit:TYPE"`, the type whose limit would have been broken, or the cap: `"merges"`, `"ids"`.',
    "owner": "Of a demoted id: the persistent id of the profile that had it at the last such event; `null` where nobody had it.",
    "count": "Of a demoted or blocked id: in how many events.",
    "first": "Of a demoted or blocked id: the first of these events.",
    "last": "Of a demoted or blocked id: the last of these events.",
    "blocked": "Ids that the identity rules block, in the same form.",
}

_EVENTS = """## segue profiles events PROFILE --json {#profiles-events}

What a user has done, the newest first: `{"profile": "use_...", "events": [...], "more": false}`. `more` says whether there are
others. Of each event:

"""

EVENTS: dict[str, str] = {
    "message_id": "Its messageId.",
    "type": "Its call type.",
    "event": "The name of a track call; `Page Viewed` and `Screen Viewed` of page and screen calls; else `null`.",
    "at": "When it happened: its timestamp, but never after its receipt.",
    "received_at": "When the collector had it.",
    "source": "The slug of its source.",
    "external_ids": "Its own ids, with `type` and `id`.",
    "user_id": "A type of id.",
    "anonymous_id": "A type of id.",
    "group_id": "A type of id, of group calls.",
    "properties": "Only where there are any; the name of a page or screen call is `page_name` or `screen_name`.",
    "traits": "Only where there are any.",
    "context": "Only where there is one.",
    "id": "Of an id: the value.",
}

_SAMPLE = {
    "messageId": "m-1",
    "source": "website",
    "receivedAt": "2026-11-21T22:00:00.000Z",
    "outcome": "accepted",
    "event": {"messageId": "m-1", "type": "track", "userId": "u1", "event": "Signed Up", "...": "..."},
    "deliveries": [
        {
            "destination": "plotline",
            "outcome": "delivered",
            "attempts": [
                {
                    "at": "2026-11-21T22:00:00.007Z",
                    "duration_ms": 11,
                    "request": {
                        "method": "POST",
                        "url": "https://plotline.example/segment/events",
                        "headers": {"Authorization": "Basic ***", "Content-Type": "application/json"},
                        "body": '{"messageId":"m-1","type":"track","...":"..."}',
                        "rebuilt": True,
                    },
                    "response": {"status": 200, "body": '{"success":true}'},
                }
            ],
        },
        {
            "destination": "planhat",
            "outcome": "retrying",
            "attempts": [{"at": "2026-11-21T22:00:00.009Z", "duration_ms": 5000, "error": "ETIMEDOUT"}],
            "due": "2026-11-21T22:00:06.541Z",
        },
    ],
}


def page() -> str:
    """The page."""
    missing = sorted((fields_of(status) - set(STATUS)) | (fields_of(explain, rebuilt, history) - set(EXPLAIN)))
    missing += sorted((fields_of(profiles) - set(PROFILES)) | (fields_of(profile_events) - set(EVENTS)))
    missing += sorted(fields_of(computed) - set(computed_forms.STATUS) - set(computed_forms.HOLDERS))
    missing += sorted(fields_of(reconcile) - set(computed_forms.RECONCILE))
    missing += sorted(fields_of(standing, sayings) - set(computed_forms.STANDING))
    missing += sorted(fields_of(questions) - set(computed_forms.PREVIEW) - set(computed_forms.HOLDERS))
    assert not missing, f"fields without words: {missing}"
    return "".join(
        (
            _HEAD,
            generated_from(
                "segue.control.status",
                "segue.control.explain",
                "segue.control.profiles",
                "segue.control.profile_events",
                "segue.control.computed",
                "segue.control.questions",
                "segue.control.standing",
                "segue.control.sayings",
                "segue.control.reconcile",
            ),
            _STATUS,
            _fields(STATUS),
            "\n",
            block(json.dumps(sample_status(), indent=2), "json"),
            "\n",
            _EXPLAIN,
            _fields(EXPLAIN),
            "\n",
            block(json.dumps(_SAMPLE, indent=2), "json"),
            "\n",
            _PROFILES,
            _fields(PROFILES),
            "\n",
            _EVENTS,
            _fields(EVENTS),
            "\n",
            computed_forms.HOLDERS_HEAD,
            _fields(computed_forms.HOLDERS),
            "\n",
            computed_forms.STATUS_HEAD,
            _fields(computed_forms.STATUS),
            "\n",
            computed_forms.PREVIEW_HEAD,
            _fields(computed_forms.PREVIEW),
            "\n",
            computed_forms.STANDING_HEAD,
            _fields(computed_forms.STANDING),
            "\n",
            computed_forms.RECONCILE_HEAD,
            _fields(computed_forms.RECONCILE),
        )
    )


def _fields(words: dict[str, str]) -> str:
    return table(("Field", "Meaning"), ((code(name), text) for name, text in words.items()))


def sample_status() -> dict[str, Any]:
    """The status of a made-up instance, by the code that `segue status` runs."""
    control = Control(
        workspace=WorkspaceRow(slug="shop", name="Shop"),
        sources=(SourceRow(slug="website", name="Website"),),
        destinations=(
            DestinationRow(id=1, slug="planhat", name="Planhat", source="website", kind="planhat", enabled=True),
        ),
        spaces=(SpaceRow(id=1, slug="prod", name="Prod", sources=("website",)),),
    )
    state = DestinationState(
        position=104,
        passed={"website": 104},
        delivered=90,
        filtered={"UNSUPPORTED_EVENT_TYPE": 3},
        refused={"BAD_REQUEST": 1},
        retrying=10,
    )
    ends = Ends(106, {"website": (106, 2)})
    return status.status(
        control,
        {1: state},
        ends,
        {"website": {"id_not_string": 1}},
        is_sandbox={1: False},
        replays={},
        profiles={1: ProfilesState(position=106, users=41, accounts=3, applied=104, skipped={"no_identifier": 2})},
        lakes={1: Position(offset=98)},
        outboxes={1: 0},
    )


# Internal to the code of the forms: keys of a replay's numbers, which are another command's.
_OF_PROGRESS = frozenset({"read", "end", "matched"})


def fields_of(*modules: Any) -> set[str]:
    """Every key that these modules put into what they print."""
    return {name for module in modules for name in _keys(ast.parse(inspect.getsource(module)))} - _OF_PROGRESS


def _keys(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        keys: Iterable[ast.expr | None] = ()
        if isinstance(node, ast.Dict):
            keys = node.keys
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            keys = (node.slice,)
        yield from (key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str))
