"""The part of the page of JSON forms that is about `segue audiences` and `segue traits`.

Rule: a field of any of these forms without words is an error of the page.
"""

# ruff: noqa: E501 - tables: one row a line

from __future__ import annotations

HOLDERS_HEAD = """## segue audiences members KEY --json {#audiences-members}

Who is in, the oldest profiles first; `segue traits values KEY --json` has `values` in place of `members`.
With `--at TIME` both answer for any instant, past or future, from the event history known now: `at` is that instant,
`since` is `null`, and traits and ids are those of now. One that is switched off says what it said last.

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

STANDING_HEAD = """## segue audiences explain --json {#audiences-explain}

Why one profile is in, or is not; `segue traits explain` is the same of computed traits. The definition is worked out
anew from the profile's events, as of the space's last commit.

"""

STANDING: dict[str, str] = {
    "key": "The key.",
    "profile": "The persistent id.",
    "external_ids": "Every id, with `type` and `id`; of what was told those of the message.",
    "type": "Of an id: such as `user_id`.",
    "id": "Of an id: the value.",
    "at": "The instant that all of this is of: how far the space has computed. Of what was told: the instant of the change.",
    "state": "As in [`status`](#audiences-status).",
    "generation": "Which generation is shown: that of which profiles have values; `null` before the first.",
    "definition": "Its definition in the normal form.",
    "value": "What the events say: of an audience whether the profile is in. In `held` and `told`: what is held, what was told.",
    "present": "Whether there is a value, be it `null`; an audience always has one.",
    "held": "What is held: `value`, `since`, `version`; `null` where the profile never had anything of it.",
    "since": "When it came to have this value.",
    "version": "How often what is held has changed.",
    "agreement": '`"agrees"` where what is held is what the events say. Else `"waiting"`, `"building"` or `"frozen"`; `"unknown"` where the profile has more events than are read; `"differs"`, which is an error.',
    "why": "A sentence where it is not `agrees`; else `null`.",
    "changes_at": "The instant at which the value becomes another with no further event; `null`: never, or not before `steady_until`.",
    "steady_until": "Only where very many events stop counting one by one: until then the value stays.",
    "overdue": "Only where `changes_at` is past: the server has ended, or is behind.",
    "can_be_member": "Only of an audience: whether the profile has an id that a member needs.",
    "trace": "The definition, part by part.",
    "text": "Of a part: its text.",
    "truth": "Of a part that is a condition: whether it is true.",
    "values": "Of a part that is a value: what was read; at most 20 under `$`.",
    "values_in_all": "Only where there are more: how many.",
    "events": "Of a part that is a value: how many events count; of a custom trait the one that set it.",
    "message_ids": "Of these the newest, at most 20.",
    "skipped": "Only where some were: values that are no numbers, or too large.",
    "parts": "What the part is made of.",
    "connections": "One entry for each destination that is told.",
    "destination": "The slug of the destination.",
    "identify": "Whether it sends identify calls.",
    "track": "Whether it sends track calls.",
    "sync": "How often, as the workspace file says it.",
    "identities": "How many identities of the profile were told of it.",
    "told": "What each was told last, at most 100, with what became of the message as of [`segue explain`](#explain).",
    "message_id": "The last message to it; `null` where nothing had to be sent.",
    "outcome": 'As of [`segue explain`](#explain); `"in_outbox"` before it is in the log, `"expired"` where the log does not hold it any more, `"nothing_sent"`.',
    "attempts": "As of [`segue explain`](#explain).",
}

RECONCILE_HEAD = """## segue reconcile --json {#reconcile}

What is held beside what the whole event history says, both as of the space's last commit. Exit code 0: all agree; 1:
something differs; 3: nothing differs, and something cannot be compared yet.

"""

RECONCILE: dict[str, str] = {
    "space": "The slug of the space.",
    "agree": "Whether the exit code is 0.",
    "unread": "Records of the log that the space has not read: they are in neither side.",
    "due": "Profiles that are to change by now, at most 1,000, and have not: the server has ended, or is behind.",
    "computations": "One entry for each audience and computed trait.",
    "key": "The key.",
    "kind": '`"audience"` or `"computed_trait"`.',
    "id": "The computation id. Of an external id: the value.",
    "result": '`"agrees"`, `"differs"`, `"frozen"` where it is switched off; not compared are `"waiting"`, `"building"`, `"sweeping"` as in [`status`](#audiences-status), and `"not_settled"` where something differs while changes that were due are being made.',
    "why": "A sentence where it is not compared; else `null`.",
    "at": "Only where it was compared: the instant.",
    "position": "Only where it was compared: the offset of the log up to which events count.",
    "history": "How many members, or values, by the history.",
    "held": "How many are held.",
    "differing": "Of how many profiles the two differ.",
    "differences": "The first 100 of these profiles.",
    "profile": "The persistent id.",
    "number": "Its number in the files of the space.",
    "external_ids": "Every id, with `type` and `id`.",
    "type": "Of an id: such as `user_id`.",
    "of_history": "What the history says, as `value`; `null`: not a member, or no value.",
    "of_held": "What is held, as `value`; `null`: not a member, or no value.",
    "value": "`true` of a member, or the value of the trait.",
}
