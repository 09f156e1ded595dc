"""The part of the page of JSON forms that is about `segue audiences` and `segue traits`.

Rule: a field of any of these forms without words is an error of the page.
"""

# ruff: noqa: E501 - tables: one row a line

from __future__ import annotations

HOLDERS_HEAD = """## segue audiences members KEY --json {#audiences-members}

Who is in, the oldest profiles first; `segue traits values KEY --json` has `values` in place of `members`.
With `--at TIME` both answer for any instant, past or future, from the event history known now: `at` is that instant,
`since` is `null`, and traits and ids are those of now.

"""

HOLDERS: dict[str, str] = {
    "key": "The key of the audience or computed trait.",
    "at": "The instant at which all of this is true: how far the space has computed; `null` before the first event.",
    "count": "How many members it has, or how many profiles a value, whatever `--limit` says.",
    "members": "Of an audience: one entry for each member.",
    "values": "Of a computed trait: one entry for each profile that has a value.",
    "profile": "The persistent id.",
    "external_ids": "Every id, with `type` and `id`, in the order in which they came.",
    "type": "Of an id: such as `user_id`.",
    "id": "Of an id: the value.",
    "value": "Only of a computed trait: its value.",
    "since": "When it came in, or when the value became this one; `null` with `--at`.",
}

STATUS_HEAD = """## segue audiences status --json {#audiences-status}

A list with one entry for each audience; with a KEY only its entry. `segue traits status` is the same of computed traits;
`list` has `definition` and `destinations` in place of what stands below `count`.

"""

STATUS: dict[str, str] = {
    "key": "The key.",
    "name": "The name.",
    "id": "The computation id, as in `context.personas`: `aud_1`, `tra_1`.",
    "enabled": "Whether it is switched on.",
    "state": 'Of an audience or trait: `"waiting"` until a server takes it up, `"building"` while its history is read, `"sweeping"` while each profile is evaluated, then `"live"`; `"frozen"` where it is switched off. Of a connection: `"initial"` while its first sync runs, `"up_to_date"`, `"behind"` while something waits to be sent or read, `"failed"` where the destination stands still, `"off"`.',
    "count": "How many members, or values.",
    "definition": "Only of `list`: the definition in its normal form.",
    "destinations": "Only of `list`: the slugs of those that are told.",
    "generation": "How often its definition was built, this one included; `null` before the first.",
    "progress": "Only while it is sweeping: `done` of `total` profiles, by number.",
    "created_at": "When it was created.",
    "connections": "One entry for each destination that is told.",
    "destination": "Of a connection: the slug of the destination.",
    "identify": "Of a connection: whether it sends identify calls.",
    "track": "Of a connection: whether it sends track calls.",
    "sync": "Of a connection: how often, as the workspace file says it.",
    "reason": 'Of a connection: why it is `"failed"` or `"off"`; else `null`.',
    "sent": "Of a connection: messages, ever.",
    "sent_at": "Of a connection: when the last was made; `null` before the first.",
    "first_sync": "Only while it is `initial`: `done` of `total` profiles, `rate` of them a second, `seconds_left` at that rate (`null` while there is none).",
    "done": "Profiles that are done.",
    "total": "Profiles in all.",
    "rate": "Profiles a second.",
    "seconds_left": "At that rate.",
    "expectation": "Only while it is `initial`: what to expect of it, in words.",
}

PREVIEW_HEAD = """## segue audiences preview --json {#audiences-preview}

Who would be in, by the whole event history; `segue traits preview` is the same of computed traits. A definition that
cannot be used gives `mistakes` alone, and exit code 1.

"""

PREVIEW: dict[str, str] = {
    "key": "The key; `null` where the definition is not saved under one.",
    "definition": "The definition in its normal form.",
    "at": "The instant it is asked about: now, or that of `--at`.",
    "position": "The offset of the log up to which events count.",
    "count": "How many would be in, or would have a value.",
    "samples": "At most 10 of them.",
    "profile": "Of a sample: the persistent id.",
    "external_ids": "Of a sample: every id, with `type` and `id`.",
    "value": "Of a sample, only of a computed trait: its value.",
    "identifiers": "For each `type` of id how many of them have one, `profiles`.",
    "type": "Of an id: such as `user_id`.",
    "id": "Of an id: the value.",
    "profiles": "Of a type of id: how many have one.",
    "cautions": "What is often not meant in the definition, a sentence each; only of one that is not saved.",
    "mistakes": "Only where it cannot be used: what is wrong, in the order of the text.",
    "message": "Of a mistake: the sentence.",
    "line": "Of a mistake: its line in the text, from 1; 0 where it has no place.",
    "column": "Of a mistake: its column, in characters, from 1; 0 where it has no place.",
}
