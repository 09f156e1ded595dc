r"""The readings of a value as DuckDB has them: macros over canonical JSON, the same as `compute.values` in Python.

A value is a text of canonical JSON; NULL stands for null, for what is missing and for a broken path.

Rule: for every value, each macro says what the function of `values`, `dates` or `decimals` says that it is named after;
none of them fails, whatever characters a value has.

Source: audiences.md 2.1, 2.4, 4.1. DuckDB writes what it takes out of JSON in a way of its own (`1e21`, `\u001F`), and
its casts take `' 5'`, `'inf'` and the year 0: what these macros are careful about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segue.compute.dates import DAY_MS, HOUR_MS, MINUTE_MS
from segue.compute.reducers import UNIQUE_MOST

if TYPE_CHECKING:
    import duckdb

_NUMBER = '"-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?"'
_INTEGER = '"?-?[0-9]{1,38}"?'
_CLOCK = "T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,9})?)?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?"
_DATE = f'"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}({_CLOCK})?"'
_WRITTEN_OTHERWISE = "[0-9]e[0-9-]|0\\.0000|[0-9]{17}\\.|\\\\u00"
"""What a list or object holds where DuckDB may have written a number or an escape in its own way."""
_PIECE = '"(?:[^"\\\\]|\\\\.)*"|[-0-9][-+.0-9eE]*|[^-"0-9]+'
_UPPER = [(f"\\u00{code:02X}", f"\\u00{code:02x}") for code in (0x0B, 0x0E, 0x0F, *range(0x1A, 0x20))]


def _lowered(text: str) -> str:
    """Escapes of control characters as Python writes them; pairs of backslashes are laid aside meanwhile."""
    found = f"replace({text}, '\\\\', chr(1))"
    for upper, lower in _UPPER:
        found = f"replace({found}, '{upper}', '{lower}')"
    return f"replace({found}, chr(1), '\\\\')"


MACROS = {
    "sg_double_json(d)": """CASE WHEN abs(d) < 1e15 AND d = trunc(d)
        THEN CAST(CAST(d AS BIGINT) AS VARCHAR) ELSE CAST(d AS VARCHAR) END""",
    "sg_number_as_written(j)": """CASE WHEN contains(j, '.') OR contains(j, 'e')
        THEN sg_double_json(CAST(j AS DOUBLE)) ELSE j END""",
    "sg_escapes(j)": f"CASE WHEN contains(j, '\\u00') THEN {_lowered('j')} ELSE j END",
    "sg_token(j)": """CASE WHEN starts_with(j, '"') THEN sg_escapes(j) WHEN j BETWEEN '-' AND ':'
        THEN sg_number_as_written(j) ELSE j END""",
    "sg_whole(j)": f"""CASE WHEN regexp_matches(j, '{_WRITTEN_OTHERWISE}') THEN array_to_string(
        list_transform(regexp_extract_all(j, '{_PIECE}'), lambda token: sg_token(token)), '') ELSE j END""",
    "sg_found(j)": """CASE WHEN j = 'null' THEN NULL WHEN starts_with(j, '[') OR starts_with(j, '{') THEN sg_whole(j)
        ELSE sg_token(j) END""",
    # What json_extract gave, as canonical JSON. (A comparison of its type with a text would read that as JSON.)
    "sg_value(j)": "sg_found(CAST(j AS VARCHAR))",
    "sg_values(l)": """list_filter(list_transform(l, lambda each: sg_value(each)), lambda each: each IS NOT NULL)""",
    # values.text_of, and back
    "sg_text(v)": """CASE WHEN NOT starts_with(v, '"') THEN v
        WHEN contains(v, '\\') THEN json_extract_string(v, '$') ELSE substring(v, 2, length(v) - 2) END""",
    "sg_scalar_text(v)": """CASE WHEN starts_with(v, '[') OR starts_with(v, '{') THEN NULL ELSE sg_text(v) END""",
    "sg_text_json(s)": "sg_escapes(CAST(to_json(s) AS VARCHAR))",
    # values.is_number, values.number_of: as double, and exactly where it is an integer of 38 digits at most
    "sg_is_number(v)": "v BETWEEN '-' AND ':'",
    "sg_numeral(v)": f"""CASE WHEN sg_is_number(v) THEN v
        WHEN starts_with(v, '"') AND regexp_full_match(v, '{_NUMBER}') THEN substring(v, 2, length(v) - 2) END""",
    "sg_finite(d)": "CASE WHEN isfinite(d) THEN d END",
    "sg_number(v)": """CASE WHEN sg_is_number(v) THEN TRY_CAST(v AS DOUBLE)
        WHEN starts_with(v, '"') THEN sg_finite(TRY_CAST(sg_numeral(v) AS DOUBLE)) END""",
    "sg_integer(v)": f"""CASE WHEN regexp_full_match(v, '{_INTEGER}') THEN TRY_CAST(sg_numeral(v) AS HUGEINT) END""",
    # decimals.billionths_of and what leaves
    "sg_sized(x)": "CASE WHEN abs(x) < CAST('1000000000000000000' AS DECIMAL(38,9)) THEN x END",
    "sg_decimal(v)": """CASE
        WHEN sg_is_number(v) AND length(v) <= 18 AND NOT contains(v, 'e') THEN TRY_CAST(v AS DECIMAL(38,9))
        WHEN abs(sg_number(v)) >= 2e18 THEN NULL
        WHEN abs(sg_number(v)) < 1e-10 THEN 0::DECIMAL(38,9)
        ELSE sg_sized(TRY_CAST(sg_numeral(v) AS DECIMAL(38,9))) END""",
    "sg_decimal_text(x)": "rtrim(rtrim(CAST(x AS VARCHAR), '0'), '.')",
    "sg_decimal_json(x)": """CASE WHEN contains(sg_decimal_text(x), '.')
        THEN sg_double_json(CAST(CAST(x AS VARCHAR) AS DOUBLE)) ELSE sg_decimal_text(x) END""",
    "sg_billionths(x)": "CAST(replace(CAST(x AS VARCHAR), '.', '') AS HUGEINT)",
    "sg_from_billionths(b)": """CAST(concat(CASE WHEN b < 0 THEN '-' ELSE '' END, CAST(abs(b) // 1000000000 AS VARCHAR),
        '.', lpad(CAST(abs(b) % 1000000000 AS VARCHAR), 9, '0')) AS DECIMAL(38,9))""",
    "sg_divided(b, n)": "sign(b) * ((2 * abs(b) + n) // (2 * n))",
    "sg_average_json(x, n)": """CASE WHEN n > 0
        THEN sg_decimal_json(sg_from_billionths(sg_divided(sg_billionths(x), CAST(n AS HUGEINT)))) END""",
    "sg_texts_json(l)": f"""coalesce(sg_escapes(CAST(to_json(list_sort(list_slice(l, 1, {UNIQUE_MOST}))) AS VARCHAR)),
        '[]')""",
    # dates.read_date: of a text that has the form, its parts stand where they do
    "sg_day(v)": f"""CASE WHEN starts_with(v, '"') AND NOT starts_with(v, '"0000') AND regexp_full_match(v, '{_DATE}')
        THEN {DAY_MS} * (TRY_CAST(substring(v, 2, 10) AS DATE) - DATE '1970-01-01') END""",
    "sg_second(v)": """CASE WHEN substring(v, 18, 1) = ':' THEN 1000 * CAST(substring(v, 19, 2) AS BIGINT)
        + CAST(rpad(regexp_extract(v, '\\.([0-9]{1,3})', 1), 3, '0') AS BIGINT) ELSE 0 END""",
    "sg_zone_of(z)": f"""CASE WHEN z = '' THEN 0 ELSE CAST(z[1] || '1' AS BIGINT)
        * ({HOUR_MS} * CAST(z[2:3] AS BIGINT) + {MINUTE_MS} * CAST(z[-2:] AS BIGINT)) END""",
    "sg_zone(v)": "sg_zone_of(regexp_extract(substring(v, 18), '[+-][0-9:]+'))",
    "sg_of_day(v)": f"""CASE WHEN length(v) = 12 THEN 0 ELSE {HOUR_MS} * CAST(substring(v, 13, 2) AS BIGINT)
        + {MINUTE_MS} * CAST(substring(v, 16, 2) AS BIGINT) + sg_second(v) - sg_zone(v) END""",
    "sg_first_ms(v)": "CASE WHEN sg_day(v) IS NOT NULL THEN sg_day(v) + sg_of_day(v) END",
    "sg_last_ms(v)": f"sg_first_ms(v) + CASE WHEN length(v) = 12 THEN {DAY_MS - 1} ELSE 0 END",
    # comparators.equal and comparators.ordered, between two values
    "sg_same_number(a, b)": """CASE WHEN sg_integer(a) IS NOT NULL AND sg_integer(b) IS NOT NULL
        THEN sg_integer(a) = sg_integer(b) ELSE sg_number(a) = sg_number(b) END""",
    "sg_less_number(a, b)": """CASE WHEN sg_integer(a) IS NOT NULL AND sg_integer(b) IS NOT NULL
        THEN sg_integer(a) < sg_integer(b) ELSE sg_number(a) < sg_number(b) END""",
    "sg_equal(a, b)": """CASE WHEN a IS NULL OR b IS NULL THEN FALSE
        WHEN sg_is_number(a) OR sg_is_number(b) THEN coalesce(sg_same_number(a, b), FALSE)
        ELSE sg_text(a) = sg_text(b) END""",
    "sg_differs(a, b)": "a IS NOT NULL AND b IS NOT NULL AND NOT sg_equal(a, b)",
    "sg_same_date(a, b)": "sg_first_ms(a) = sg_first_ms(b) AND sg_last_ms(a) = sg_last_ms(b)",
    "sg_less(a, b)": """coalesce(CASE WHEN sg_number(a) IS NOT NULL AND sg_number(b) IS NOT NULL
        THEN sg_less_number(a, b) ELSE sg_last_ms(a) < sg_first_ms(b) END, FALSE)""",
    "sg_at_most(a, b)": """coalesce(CASE WHEN sg_number(a) IS NOT NULL AND sg_number(b) IS NOT NULL
        THEN sg_less_number(a, b) OR sg_same_number(a, b)
        ELSE sg_last_ms(a) < sg_first_ms(b) OR sg_same_date(a, b) END, FALSE)""",
}
"""Each after those that it uses."""


def install(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the macros known to a connection. Raises duckdb.Error."""
    for head, body in MACROS.items():
        connection.execute(f"CREATE OR REPLACE TEMP MACRO {head} AS {body}")
