"""The page of every code that a user may meet: reason codes, the collector's answers, failed connections.

Rule: the codes are found in the code; one without words here, or words without a code, is an error.
"""

# ruff: noqa: E501 - tables: one row a line

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import segue.collect
from segue.core.reasons import FILTERED, INGEST, REFUSED, Reason
from segue.resolve.skips import SKIPS
from segue_docs.markdown import code, generated_from, table

_HEAD = """# Error codes

A code is stable; its words may get better. *Ours* marks a code that fills a gap of Segment's list.

"""

COLLECTOR: dict[str, str] = {
    "disk_full": "Less than `disk.floor` is free. Send again after `Retry-After`; make room, and it recovers without a restart.",
    "events_rejected": "A source with `strict: true`: some events were rejected for different reasons. The body lists each with its code and says how many were accepted.",
    "headers_too_large": "Request line and headers are too large.",
    "invalid_encoding": "The body is not what `Content-Encoding` says, or is cut off.",
    "invalid_host": "The settings document needs a Host header that names a host.",
    "invalid_http": "What came is no HTTP.",
    "invalid_json": "The body is not JSON. The message names the byte.",
    "invalid_utf8": "The body is not UTF-8. The message names the byte.",
    "method_not_allowed": "The address knows other methods; `Allow` lists them.",
    "nested_too_deep": "The body as a whole is nested too deep to be read.",
    "not_an_object": "The body must be one JSON object.",
    "not_found": "There is nothing at this address.",
    "overloaded": "Too many requests wait for a commit, or too many bodies are on their way. Send again.",
    "payload_too_large": "400: an event or a batch over its limit. 413: the body was not even read to its end.",
    "rate_limited": "More than `collect.requests_per_second` came with this write key, or with unknown ones together. `Retry-After` says when to go on.",
    "request_timeout": "Headers or body did not come in time.",
    "too_many_connections": "Open connections are at their bound. Send again.",
    "unavailable": "The log cannot be written now, such as on a full disk. Nothing was taken; send again.",
    "unknown_source": "401: the workspace has `strict_keys` and no source has this write key. 404: the same for a settings document.",
    "unsupported_encoding": "`Content-Encoding` may be gzip, deflate or identity.",
}

CONNECTION: dict[str, str] = {
    "ADDRESS_REFUSED": "The address is not a public one and not allowed, or the URL cannot be requested. Refused for good.",
    "ECONNREFUSED": "Nobody listens there.",
    "ECONNRESET": "The connection ended before the answer did.",
    "EHOSTUNREACH": "There is no way to that network.",
    "EINVAL": "A method or header that cannot be written.",
    "EMFILE": "This machine has no file descriptor left: raise its limit.",
    "ENOTFOUND": "The name cannot be resolved.",
    "EPROTO": "What came back is no HTTP.",
    "ETIMEDOUT": "No answer within the time-out.",
    "ETLS": "No TLS connection, such as for a certificate that is not trusted.",
}


def page() -> str:
    """The page."""
    return (
        _HEAD
        + generated_from("segue.core.reasons", "segue.collect")
        + _reasons("Dropped at the door", "dropped", "Ingest. The event is not in the log; the answer is still 200 "
                   "(400 from a strict source). It is counted, and kept in the quarantine for `tail` and `explain`.", INGEST)
        + _reasons("Filtered", "filtered", "The event is in the log; this destination does not get it.", FILTERED)
        + _reasons("Refused", "refused", "Final for this destination; the event is a dead letter. `segue redrive` sends "
                   "it again once the cause is mended.", REFUSED)
        + _skips()
        + _collector()
        + _connections()
    )  # fmt: skip


def _reasons(title: str, anchor: str, words: str, reasons: dict[str, Reason]) -> str:
    rows = [
        (code(row.code), row.fault + (" (ours)" if row.ours else ""), row.meaning, row.remedy)
        for row in reasons.values()
    ]
    return f"## {title} {{#{anchor}}}\n\n{words}\n\n" + table(("Code", "Fault", "Meaning", "What to do"), rows) + "\n"


def _skips() -> str:
    words = "The event is in the log and goes to destinations; no profile of the space hears of it."
    rows = [(code(name), meaning) for name, meaning in SKIPS.items()]
    return f"## Skipped by a space {{#skipped}}\n\n{words}\n\n" + table(("Code", "Meaning"), rows) + "\n"


def _collector() -> str:
    found: dict[str, set[str]] = {}
    for status, name in answers():
        found.setdefault(name, set()).add(str(status))
    missing, left_over = sorted(set(found) - set(COLLECTOR)), sorted(set(COLLECTOR) - set(found))
    assert not missing and not left_over, f"answers without words: {missing}; words without an answer: {left_over}"
    rows = [(code(name), ", ".join(sorted(found[name])), COLLECTOR[name]) for name in sorted(found)]
    words = 'Error answers of the collector are `{"code": ..., "message": ...}`. 429 and 503 carry `Retry-After`.'
    return (
        f"## Answers of the collector {{#collector}}\n\n{words}\n\n" + table(("Code", "Status", "Meaning"), rows) + "\n"
    )


def _connections() -> str:
    rows = [(code(name), meaning) for name, meaning in CONNECTION.items()]
    words = "What `explain` shows as `error` where no answer came. All but the first and `EINVAL` are retried."
    return f"## Failed connections {{#connection}}\n\n{words}\n\n" + table(("Code", "Meaning"), rows)


def answers() -> Iterator[tuple[int, str]]:
    """(status, code) of every error answer that the collector's modules make."""
    for path in sorted(Path(segue.collect.__file__).parent.glob("*.py")):
        yield from _answers_of(ast.parse(path.read_text("utf-8")))


def _answers_of(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value == "events_rejected":
            yield 400, "events_rejected"
        if not isinstance(node, ast.Call) or len(node.args) < 2:
            continue
        status, name = node.args[0], node.args[1]
        if isinstance(node.func, ast.Name) and node.func.id == "_bad":
            yield from ((400, text) for text in _texts(status, tree))
        elif isinstance(status, ast.Constant) and isinstance(status.value, int) and 400 <= status.value <= 599:
            yield from ((status.value, text) for text in _texts(name, tree))


def _texts(node: ast.expr, tree: ast.Module) -> Iterator[str]:
    """The texts that an expression may be: itself, a choice of two, or a name given one of these."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body, tree)
        yield from _texts(node.orelse, tree)
    elif isinstance(node, ast.Name):
        for other in ast.walk(tree):
            if isinstance(other, ast.Assign) and any(
                isinstance(t, ast.Name) and t.id == node.id for t in other.targets
            ):
                yield from _texts(other.value, tree)
