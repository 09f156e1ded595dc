"""Decimals of 38 digits with 9 after the point: the numbers that reducers count with.

A number is held as the integer of its billionths, so that adding and taking away give the same in any order.

Rule: a value enters from its text, rounded once, half away from zero; what leaves is a number as canonical JSON has it.

Source: PROPOSED (Segment does not say how it counts); DuckDB's cast of a text to DECIMAL(38,9) rounds alike.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal
from functools import partial

from segue.compute.values import Value, number_of, number_text, plain_number

BILLION = 10**9
SIZE_BELOW = 10**18 * BILLION
"""In billionths: values of 10^18 or more take no part, so that no sum of fewer than 10^11 values leaves 38 digits."""

_FLOAT_BELOW = 2e18
_DIGITS = 60
_round = partial(Decimal.quantize, exp=Decimal("1e-9"), context=Context(prec=_DIGITS, rounding=ROUND_HALF_UP))


def billionths_of(value: Value) -> int | None:
    """A number, or a text that is one, in billionths; None for all else and for what is too large."""
    if type(value) is float and 1e-4 <= value < 1e9:  # the usual price: its text has neither sign nor exponent
        whole, _, rest = repr(value).partition(".")
        if len(rest) <= 9:
            return int(whole) * BILLION + int(rest.ljust(9, "0"))
    number = number_of(value)
    if number is None or abs(number) >= _FLOAT_BELOW:
        return None
    if isinstance(number, int):
        found = number * BILLION
    elif abs(number) < 1e-10:
        return 0  # the exponent of such a text may be beyond what a decimal can hold
    else:
        text = value if isinstance(value, str) else number_text(number)
        found = int(_round(Decimal(text)).scaleb(9, Context(prec=_DIGITS)))
    return found if abs(found) < SIZE_BELOW else None


def divided(total: int, count: int) -> int:
    """The total over the count, both in billionths but for the count, rounded half away from zero."""
    size = (2 * abs(total) + count) // (2 * count)
    return size if total >= 0 else -size


def number_from(billionths: int) -> int | float:
    """The number: an integer where it is whole, else the nearest double."""
    whole, rest = divmod(billionths, BILLION)
    return plain_number(whole if rest == 0 else float(decimal_text(billionths)))


def decimal_text(billionths: int) -> str:
    """All its digits, without an exponent and without zeros at the end: `-0.000000001`, `10`, `2.5`."""
    whole, rest = divmod(abs(billionths), BILLION)
    sign = "-" if billionths < 0 else ""
    return f"{sign}{whole}" if rest == 0 else f"{sign}{whole}.{rest:09d}".rstrip("0")
