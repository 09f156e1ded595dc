"""Definitions as SQL: each is one query over the event history, which DuckDB answers of all profiles together.

Whoever imports this package imports sqlglot, which takes 0.1 s and 13 MB: it is for the first question that is asked,
not for the start of a process.

Rule: a query says of every profile what `compute.evaluate` says of it; what people wrote stands in it as a literal or
as a quoted name that sqlglot has written, and nowhere else.
"""

from __future__ import annotations

from segue.compute.sql.compiler import Query, compile_query
from segue.compute.sql.definitions import Defined, needed, wanted
from segue.compute.sql.questions import (
    Answer,
    Comparison,
    Difference,
    Preview,
    Sample,
    answer,
    compare,
    defined,
    preview,
)
from segue.compute.sql.readings import install
from segue.lake.relations import EventTable, Wanted

__all__ = [
    "Answer",
    "Comparison",
    "Defined",
    "Difference",
    "EventTable",
    "Preview",
    "Query",
    "Sample",
    "Wanted",
    "answer",
    "compare",
    "compile_query",
    "defined",
    "install",
    "needed",
    "preview",
    "wanted",
]
