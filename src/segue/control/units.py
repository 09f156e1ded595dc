"""Durations, sizes and counts as people write them: `7d`, `512MB`, `1 event`.

Rule: a number never stands without its unit; what is printed can be read back.
"""

from __future__ import annotations

import re

from segue.core.errors import Invalid

DAY_MS = 86_400_000

_DURATION_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": DAY_MS, "w": 7 * DAY_MS}
_DURATION = re.compile(r"(?:\d{1,12}(?:ms|[smhdw]))+", re.ASCII)
_DURATION_PIECE = re.compile(r"(\d+)(ms|[smhdw])", re.ASCII)
_SIZE_UNITS = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
_SIZE = re.compile(r"(\d{1,9}) ?([KMGT]?B)", re.ASCII)


def counted(count: int, one: str, many: str = "") -> str:
    """`1 event`, `2 events`; `many` where it is not `one` with an s."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def duration_ms(text: str, field: str) -> int:
    """Milliseconds of a duration such as `7d`, `90s` or `1h30m`. Raises Invalid."""
    if not _DURATION.fullmatch(text):
        raise Invalid(f"{text!r} is no duration; write it like 7d, 12h, 30m, 90s or 500ms", field=field)
    total = sum(int(count) * _DURATION_UNITS[unit] for count, unit in _DURATION_PIECE.findall(text))
    if total > 3660 * DAY_MS:
        raise Invalid(f"{text!r} is longer than ten years", field=field)
    return total


def duration_text(milliseconds: int) -> str:
    """The duration as one would write it: `7d`."""
    for unit, size in sorted(_DURATION_UNITS.items(), key=lambda item: -item[1]):
        if milliseconds and unit != "w" and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return "0s"


def keep_ms(text: str, field: str) -> int | None:
    """Milliseconds for which something is kept, a day or more; None for `off`: for ever. Raises Invalid."""
    if text == "off":
        return None
    keep = duration_ms(text, field)
    if keep < DAY_MS:
        raise Invalid("must be off, or at least 1d", field=field)
    return keep


def offset_ms(text: str, field: str) -> int:
    """Milliseconds by which a clock is moved, as in `offset:+31d` or `offset:-2h`. Raises Invalid."""
    word, _, offset = text.partition(":")
    if word != "offset" or not (offset == "0" or offset[:1] in ("+", "-")):
        raise Invalid(f"{text!r} moves no clock; write it like offset:+31d or offset:-2h", field=field)
    return 0 if offset == "0" else int(f"{offset[0]}{duration_ms(offset[1:], field)}")


def offset_text(milliseconds: int) -> str:
    """The offset of a clock as one would write it: `offset:+31d`; nothing where it is not moved."""
    if not milliseconds:
        return ""
    return f"offset:{'-' if milliseconds < 0 else '+'}{duration_text(abs(milliseconds))}"


def size_bytes(text: str, field: str) -> int:
    """Bytes of a size such as `512MB`; one KB is 1,024 bytes. Raises Invalid."""
    found = _SIZE.fullmatch(text.upper())
    if not found:
        raise Invalid(f"{text!r} is no size; write it like 512MB, 64KB or 2GB", field=field)
    return int(found[1]) * _SIZE_UNITS[found[2]]


def size_text(count: int) -> str:
    """The size as one would write it: `512MB`."""
    for unit, size in sorted(_SIZE_UNITS.items(), key=lambda item: -item[1]):
        if count and count % size == 0:
            return f"{count // size}{unit}"
    return f"{count}B"
