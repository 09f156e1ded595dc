"""The limits page: numbers from the constants of the code, words from here where the code has none.

Rule: every limit of the collector and every public constant of `segue.deliver` is on the page with its present value.
"""

# ruff: noqa: E501 - tables: one row a line

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

import msgspec

from segue.api.limits import ApiLimits
from segue.collect.limits import CollectLimits
from segue.control.units import duration_text, size_text
from segue_docs.markdown import code, generated_from, table

_HEAD = """# Limits

Every queue, body, cache and loop has a bound. Most cannot be changed; those that a [setting](settings.md) changes name
it. For what happens at a bound of the collector, see [Error codes](error-codes.md).

"""

_BY_SETTING = {
    "requests_per_second": "SEGUE_COLLECT_REQUESTS_PER_SECOND",
    "connections": "SEGUE_COLLECT_CONNECTIONS",
    "waiting_requests": "SEGUE_COLLECT_WAITING_REQUESTS",
    "body_bytes_in_flight": "SEGUE_COLLECT_MEMORY",
    "waiting_bytes": "SEGUE_COLLECT_MEMORY",
}

GROUPS: dict[str, dict[str, str]] = {
    "Event log": {
        "log:SEGMENT_RECORDS": "Events in one segment; then a new one begins.",
        "log:SEGMENT_BYTES": "Bytes of event bodies in one segment.",
        "log:CHECKPOINT_BYTES": "What the WAL of the newest segment gathers between checkpoints.",
        "settings:DEDUP_WINDOW_MAX_MS": "The longest deduplication window.",
    },
    "Delivery": {
        "deliver:WINDOW": "Events of one destination that are neither final nor in a retry row.",
        "deliver:TIMEOUT_MS": "One attempt. Source: Segment's Webhooks page.",
        "deliver:MAX_CONNECTIONS": "Requests of all destinations at one time.",
        "state:CONCURRENCY": "Requests of one destination at one time, unless `max_concurrency` says otherwise.",
        "deliver:WINDOW_MS": "From an event's first attempt until it is refused as RETRY; stands still while the breaker is open or the destination is disabled. Source: Segment.",
        "deliver:DELAY_FIRST_MS": "Doubled with each attempt; the delay is a random half to whole of it.",
        "deliver:DELAY_MOST_MS": "The longest delay between two attempts.",
        "deliver:RETRY_AFTER_MOST_MS": "The longest `Retry-After` that is obeyed.",
        "deliver:RETRY_ROWS_MOST": "Events of one destination that wait for a retry, those of replays among them; then its cursor stands, and `status` names the users that fill it. An event is read only where it could get such a row.",
        "deliver:RETRY_BYTES_MOST": "The same in bytes, of events and of what is kept of their attempts. At the bound a further attempt takes the place of the earlier ones.",
        "deliver:EVENT_BYTES_MOST": "No event is larger; so many are read as there is surely room for, once half of these bytes are taken.",
        "deliver:UNCOMMITTED_MOST": "Outcomes of one destination that are not committed yet; then nothing new is started.",
        "deliver:RECORDS_A_PUMP": "Records that one destination reads before the others have their turn.",
        "deliver:REQUESTS_MOST": "Requests that a flow may make for one event.",
        "deliver:REPLAY_WINDOW": "Events of a replay that are on their way at one time.",
        "deliver:FULL_BATCHES_TO_GROW": "Full batches that must be taken, after a 413 halved their size, before a larger one is tried.",
        "deliver:GROWTH": "It is larger by one in so many of the size that the settings ask for, which it never exceeds.",
        "stage:COMMIT_EVERY_MS": "How long an outcome waits for its commit at most.",
        "stage:COMMIT_OUTCOMES": "Outcomes after which a commit begins at once.",
    },
    "Breaker": {
        "deliver:FAILURES_TO_OPEN": "Retryable failures in a row that open it.",
        "deliver:LANES_TO_OPEN": "Over at least so many lanes: one user's trouble does not open it.",
        "deliver:KEY_REFUSALS_TO_OPEN": "Answers 401 or 403 in a row, without a success, that open it as key_refused.",
        "deliver:UNASKED_TO_CLOSE": "Probes in a row that could not be mapped, so that the vendor was not asked, that close it. One to a refused address closes it at once.",
        "deliver:PROBE_FIRST_MS": "Until the first probe.",
        "deliver:PROBE_MOST_MS": "Between later probes at most; each wait is twice the last.",
        "deliver:OPEN_MOST_MS": "How long all its openings together stop the retry window of one event.",
    },
    "What is kept": {
        "deliver:DEAD_LETTERS_MOST": "Dead letters of one destination that keep their body, the newest; those of replays give way first. What was cut is counted, and keeps its reason for `explain` while the log holds the event.",
        "state:DELIVERED_KEEP_MS": "The line of a delivered event, for `explain`.",
        "deliver:DELIVERED_BYTES_MOST": "Such lines of one destination.",
        "deliver:DELIVERED_ROW_BYTES": "What one such line is counted as, beside its attempts.",
        "deliver:ATTEMPTS_MOST": "Attempts that are kept of an event that was retried or refused.",
        "deliver:BATCH_BYTES_MOST": "Bytes that are kept of the request of a refused or retried batch, with each of its events.",
        "deliver:ANSWER_BYTES_MOST": "Bytes of a vendor's answer that are kept.",
        "deliver:ANSWERS_REMEMBERED": "Different answers that are recognised without a look at the disk.",
        "deliver:BODY_KEPT": "Bytes of an answer that a destination's flow sees.",
        "deliver:BODY_READ": "Bytes of an answer that are read so that its connection can be used again.",
        "deliver:BODY_HELD": "A larger answer is let go of when its request has ended.",
        "deliver:CONNECTION_LIFE_SECONDS": "Age at which a connection is not used again.",
        "state:ROWS_MOST": "Dropped events that are kept for each source, the newest; strangers share one such bound. So many duplicates beside them.",
        "state:BYTES_MOST": "The same in bytes.",
        "state:BODY_BYTES_MOST": "Bytes of one dropped event that are kept.",
        "collect:DUPLICATES_A_SECOND": "Duplicates of all sources that are kept for `explain` in one second; the rest are only counted.",
        "state:SETTINGS_KEPT": "Former versions of a destination's settings.",
        "state:JOBS_KEPT": "Replays and redrives that are remembered, the newest.",
    },
    "Workspace": {
        "control:SOURCES_MAX": "Sources.",
        "control:WRITE_KEYS_MAX": "Write keys of one source.",
        "control:DESTINATIONS_MAX": "Destinations.",
        "control:CONCURRENCY_MAX": "The greatest `max_concurrency`.",
        "control:RATE_MAX": "The greatest `max_rate`, requests a second.",
        "control:NAME_MAX": "Characters in a name.",
        "control:FILE_BYTES_MAX": "Bytes in a workspace file.",
        "control:LIST_MAX": "Names in one list of a replay's or redrive's filter.",
    },
    "Profile API": {
        "api:PAGE_BYTES_MOST": "Where a page ends early, after one entry at least.",
        "api:EVENTS_KEPT_MS": "How far back `events` go.",
        "api:LINK_IDS_MOST": "External ids that are shown of a linked profile.",
    },
    "Event history": {
        "wiring:EVENTS_MOST": "Events that are written at once; so many do not wait for `lake.flush`.",
        "wiring:BYTES_MOST": "The same in bytes.",
        "lake:PLACES_MOST": "Files of one such write; where there are more names and days, the rarest share a file.",
        "lake:ROWS_MOST": "Rows, beyond which files are not made one.",
        "lake:REPLACED_KEEP_MS": "How long files that were made one stay for their readers.",
        "lake:FREQUENT_MOST": "Properties of one file that have a column of their own.",
        "lake:SECONDS_MOST": "How long a page of a profile's events may take to be read, in seconds.",
        "lake:QUESTION_SECONDS_MOST": "The same of a preview, or of another question about all profiles.",
        "lake:REFRESH_EVENTS": "Events after which the table of profiles beside a history is written again.",
    },
    "Audiences and traits": {
        "compute:TUPLES_MOST": "Combinations of ids of one profile (each userId with each email) that are told of it, the first in their order.",
        "wiring:ROWS_AT_ONCE": "Messages of a space that enter the log in one append.",
        "wiring:BYTES_AT_ONCE": "The same in bytes.",
    },
    "Processes": {
        "wiring:WAIT_FOR_ROLE_S": "How long a start waits for a role that another process holds.",
        "wiring:WAIT_FOR_PORT_S": "How long a start waits for its port.",
        "stage:CLOSE_MOST_S": "How long an end waits for a commit under way.",
        "wiring:NAME_SERVER_S": "How long an end waits, after all is committed, for a name server that does not answer.",
        "wiring:RESTARTS_MOST": "How often a process that dies is started again ...",
        "wiring:RESTARTS_WITHIN_S": "... within this time; then the instance gives up.",
        "wiring:STANDING_MS": "A cursor that stands so long gets a log line.",
        "wiring:FOLLOWERS_MOST": "`segue tail`s at one time.",
        "wiring:LOOK_BACK": "Newest events that `segue tail --source` searches for those to begin with.",
    },
    "Sandboxes": {
        "sandbox:BODY_MAX": "Bytes of a body, beyond which the answer is 413.",
        "sandbox:REQUESTS_MAX": "Requests that `GET requests` shows, the newest.",
        "sandbox:DEDUPE_MS": "How long a messageId is recognised.",
        "sandbox:FAULTS_MAX": "Faults that may wait.",
    },
}


def page() -> str:
    """The page."""
    parts = [_HEAD, generated_from("segue.collect.limits", "segue.deliver"), "## Collector\n\n", _collector()]
    for title, constants in GROUPS.items():
        rows = [(words, *_named(name)) for name, words in constants.items()]
        if title == "Profile API":
            rows = [(*row[:2], code("segue.api.limits.ApiLimits")) for row in _fields(ApiLimits, {})] + rows
        parts.append(f"\n## {title}\n\n" + table(("What", "Limit", "Where it stands"), rows))
    return "".join(parts)


def _collector() -> str:
    rows = _fields(CollectLimits, _BY_SETTING)
    constants = dict(attribute_words("segue.collect.limits", ""))
    for name, text in constants.items():
        rows.append((text, _written(name, getattr(importlib.import_module("segue.collect.limits"), name)), ""))
    return table(("What", "Limit", "Setting"), rows)


def _fields(limits: type[msgspec.Struct], settings: dict[str, str]) -> list[tuple[str, str, str]]:
    words = dict(attribute_words(limits.__module__, limits.__name__))
    return [
        (
            words[field.name],
            _written(field.name, field.default),
            code(settings[field.name]) if field.name in settings else "",
        )
        for field in msgspec.structs.fields(limits)
    ]


def attribute_words(module: str, owner: str) -> Iterator[tuple[str, str]]:
    """The attributes of a class (of the module itself for "") that have a docstring below them, with it."""
    tree: ast.AST = ast.parse(inspect.getsource(importlib.import_module(module)))
    if owner:
        tree = next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == owner)
    body = getattr(tree, "body", [])
    for node, below in pairwise(body):
        target = (
            node.target
            if isinstance(node, ast.AnnAssign)
            else node.targets[0]
            if isinstance(node, ast.Assign)
            else None
        )
        if isinstance(target, ast.Name) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            yield target.id, str(below.value.value)


def _named(name: str) -> tuple[str, str]:
    package, _, constant = name.partition(":")
    found = [module for module, own in constants_of(f"segue.{package}").items() if constant in own]
    assert len(found) == 1, f"{constant} should stand in one module of segue.{package}, and stands in {found}"
    return _written(constant, getattr(importlib.import_module(found[0]), constant)), code(f"{found[0]}.{constant}")


@cache
def constants_of(package: str) -> dict[str, frozenset[str]]:
    """The public names in capitals that are given a number in each module of a package, or in the one module."""
    place = importlib.import_module(package)
    inner = [found.name for found in pkgutil.iter_modules(getattr(place, "__path__", ()), f"{package}.")]
    return {module: frozenset(_numbers(module)) for module in inner or [package]}


def _numbers(module: str) -> Iterator[str]:
    for node in ast.parse(inspect.getsource(importlib.import_module(module))).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        name = target.id if isinstance(target, ast.Name) else ""
        is_public = re.fullmatch("[A-Z][A-Z0-9_]*", name)
        if is_public and isinstance(getattr(importlib.import_module(module), name), int | float):
            yield name


def _written(name: str, value: float) -> str:
    low = name.lower()
    if low.endswith("_ms"):
        return duration_text(int(value))
    if low.endswith(("_s", "_seconds")) and not low.startswith("requests"):
        return duration_text(round(value * 1000))
    if "bytes" in low or low.startswith("body_") or low.endswith("body_max"):
        round_in_units = value % 1024**2 == 0 or (value % 1024 == 0 and value < 1024**2)
        return size_text(int(value)) if round_in_units else f"{value:,} bytes"
    return f"{value:,g}" if isinstance(value, float) else f"{value:,}"
