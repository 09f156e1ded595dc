"""A request body, opened: its events with every value undecoded and exact, and what the batch says of them all.

Rule: a body that is not one JSON object in UTF-8 is refused whole, with what is wrong and at which byte; what is
accepted here can be decoded by everything behind it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from segue.collect.answer import Unacceptable
from segue.collect.limits import DEPTH_MOST

Fields = dict[str, Raw]
NULL = Raw(b"null")

decode_fields = msgspec.json.Decoder(Fields).decode
decode_text: Callable[[Raw], str | None] = msgspec.json.Decoder(str | None).decode
"""The text that a JSON value is, None for null. Raises msgspec.ValidationError for any other value."""

_T = TypeVar("_T")
_BOM = b"\xef\xbb\xbf"


class Batch(Struct, gc=False, rename="camel"):
    """A batch body. What it says beside these is ignored, as Segment does."""

    batch: list[Raw] | None = None
    write_key: Raw = NULL
    sent_at: Raw = NULL
    context: Raw = NULL
    integrations: Raw = NULL


class _BatchHead(Struct, gc=False, rename="camel"):
    """A batch body whose `batch` is no list."""

    write_key: Raw = NULL


_decode_batch = msgspec.json.Decoder(Batch).decode
_decode_batch_head = msgspec.json.Decoder(_BatchHead).decode


def open_event(body: bytes) -> tuple[Fields, bytes]:
    """The top level of a single event, and the whole of it as JSON that any decoder reads.

    Raises Unacceptable (400) where the body is not one JSON object.
    """
    return _open(body, _decode_event)


def open_batch(body: bytes) -> Batch:
    """A batch; its `batch` is None where that is missing or no list.

    Raises Unacceptable (400) where the body is not one JSON object.
    """
    return _open(body, _decode_any_batch)


def text_or_none(raw: Raw | None) -> str | None:
    """The text that a JSON value is; None where it is another value or missing."""
    if raw is None:
        return None
    try:
        return decode_text(raw)
    except msgspec.ValidationError:
        return None


def _decode_event(body: bytes) -> tuple[Fields, bytes]:
    return decode_fields(body), body


def _decode_any_batch(body: bytes) -> Batch:
    try:
        return _decode_batch(body)
    except msgspec.ValidationError:
        return Batch(write_key=_decode_batch_head(body).write_key)


def _open(body: bytes, decode: Callable[[bytes], _T]) -> _T:
    try:
        # The decoder checks the grammar but not the encoding of what it leaves undecoded.
        str(body, "utf-8")
        return decode(body)
    except UnicodeDecodeError as error:
        raise _bad("invalid_utf8", f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    except RecursionError:
        raise _bad("nested_too_deep", f"the body is nested deeper than {DEPTH_MOST} levels") from None
    except msgspec.ValidationError:
        raise _bad("not_an_object", "the body must be one JSON object") from None
    except msgspec.DecodeError as error:
        mended = _mend(body)
        if mended is None:
            raise _bad("invalid_json", _complaint(body, error)) from None
    return _open(mended, decode)


def _bad(code: str, message: str) -> Unacceptable:
    return Unacceptable(400, code, message)


# Escapes from left to right, so that an escaped backslash before a `u` is not taken for one.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


def _mend(body: bytes) -> bytes | None:
    """The body without a byte order mark, with U+FFFD for each half of a surrogate pair that stands alone.

    SDKs in JavaScript send such halves where a text was cut inside an emoji; every encoder to UTF-8 replaces
    them. None where there is nothing to mend.
    """
    if body.startswith(_BOM):
        return body[len(_BOM) :]
    mended = _ESCAPE.sub(lambda found: b"\\ufffd" if found[1] else found[0], body)
    return mended if mended != body else None


_NO_NUMBER = re.compile(rb"NaN|-?Infinity")
_POSITION = re.compile(r"\(byte (\d+)\)")


def _complaint(body: bytes, error: msgspec.DecodeError) -> str:
    if not body.strip():
        return "the body is empty"
    found = _POSITION.search(str(error))
    if found is None:
        return f"the body is not JSON: it ends too early, at byte {len(body)}"
    at = int(found[1])
    number = _NO_NUMBER.match(body, at - 1 if body[at - 1 : at] == b"-" else at)
    if number:
        return f"the body is not JSON: {number[0].decode()} at byte {number.start()} is no JSON number"
    return f"the body is not JSON: {str(error).removeprefix('JSON is malformed: ')}"


# A string, or one bracket.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|([\[{])|[\]}]', re.DOTALL)


def opening_brackets(text: bytes) -> int:
    """How many `{` and `[` there are; `bytes.replace` looks for them four times as fast as `bytes.count`."""
    return 2 * len(text) - len(text.replace(b"{", b"")) - len(text.replace(b"[", b""))


def too_deep(text: bytes, levels: int = DEPTH_MOST) -> bool:
    """Whether valid JSON is nested deeper than `levels`."""
    if len(text) < 2 * levels or opening_brackets(text) <= levels:
        return False
    depth = 0
    for token in _TOKEN.finditer(text):
        if token[1]:
            depth += 1
            if depth > levels:
                return True
        elif token[0] in (b"]", b"}"):
            depth -= 1
    return False
