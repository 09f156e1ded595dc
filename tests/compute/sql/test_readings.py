"""The macros read a value as Python does, whatever it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.compute.dates import read_date
from segue.compute.decimals import billionths_of, decimal_text, number_from
from segue.compute.paths import entries
from segue.compute.sql import install
from segue.compute.sql.found import at_path
from segue.compute.sql.terms import column, text
from segue.compute.values import number_of, number_text, text_of
from tests.compute.sql.relations import written

ODD = (
    *(
        "",
        "a\x00b",
        "\x1f\\u001F",
        '\\\x1a"\\\\',
        "5",
        "05",
        " 5",
        "+5",
        "-1.50",
        "1e3",
        "1e400",
        "1e-400",
        "NaN",
        "inf",
    ),
    *(
        "-0",
        "1_000",
        "9" * 38,
        "9" * 39,
        "999999999999999999.9999999995",
        "0.0000000005",
        "5\n",
        "\u0665",
        "true",
        "null",
    ),
    *("2026-02-30", "0000-01-01", "0001-01-01T00:00+23:59", "9999-12-31T23:59:59.999999999-2359", "2026-03-10T24:00"),
    *("2026-03-10T12:00+24:00", "2026-03-10t12:00", "2026-03-10T12:00:00.1", "2026-03-10\n", "20260310"),
)
numbers = st.one_of(
    st.integers(-(10**38) + 1, 10**38 - 1),
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([1e21, 1e16, 1e15, 1e-5, 5e-324, 2.5e-9, 123456789012345.5, 1234567890123456.0, 10**18, 2e18]),
)
texts = st.one_of(
    st.sampled_from(ODD),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    numbers.map(str),
    st.datetimes().map(lambda at: at.isoformat()),
    st.dates().map(str),
)
names = st.sampled_from(["a", "b", "0", "-1", 'a"b', "*", "a\\", "$", "é", "~/", "a.b"])
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as found:
        install(found)
        yield found


@settings(max_examples=40, deadline=None)
@given(st.lists(values, min_size=1, max_size=50))
def test_each_reading_is_that_of_python(connection, found):
    documents = [written({"k": value}) for value in found]
    rows = connection.execute(
        """SELECT v, sg_text(v), sg_number(v), sg_integer(v), sg_billionths(sg_decimal(v)),
             sg_decimal_text(sg_decimal(v)), sg_decimal_json(sg_decimal(v)), sg_first_ms(v), sg_last_ms(v),
             sg_text_json(sg_text(v))
           FROM (SELECT sg_value(json_extract(unnest(?::VARCHAR[]), '$."k"')) AS v)""",
        [documents],
    ).fetchall()
    assert rows == [_read(json.loads(document)["k"]) for document in documents]


def _read(value: Any) -> tuple[Any, ...]:
    number, billionths, as_text = number_of(value), billionths_of(value), text_of(value)
    when = read_date(value) if isinstance(value, str) else None
    return (
        None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":")),
        as_text,
        None if number is None else float(number),
        number if isinstance(number, int) else None,
        billionths,
        None if billionths is None else decimal_text(billionths),
        None if billionths is None else number_text(number_from(billionths)),
        None if when is None else when.first_ms,
        None if when is None else when.last_ms,
        None if as_text is None else json.dumps(as_text, ensure_ascii=False),
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(names, values, max_size=3), max_size=5), st.lists(names, min_size=1, max_size=4))
def test_a_path_leads_to_what_it_leads_to_in_python(connection, documents, path):
    found = at_path(column("j", "d"), path)
    for document in (json.loads(written(each)) for each in documents):
        query = f"SELECT {found.term.sql('duckdb')} FROM (SELECT ?::VARCHAR AS j) AS d"
        got = connection.execute(query, [written(document)]).fetchall()[0][0]
        expected = [written(each) for each in entries(document, path) if each is not None]
        assert (got or []) == expected if found.shape == "many" else [got] == (expected or [None])


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["a\x00b", "it's", "--", "\\'", '"']))
def test_a_literal_is_the_text_that_was_written(connection, value):
    assert connection.execute(f"SELECT {text(value).sql('duckdb')}").fetchall() == [(value,)]


def test_half_a_pair_of_surrogates_equals_no_text(connection):
    found = connection.execute(f"SELECT {text(chr(0xD800)).sql('duckdb')}").fetchall()
    assert found == [("\U0010fffe",)]
