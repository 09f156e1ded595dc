"""The page about the lake's files: the query that it shows works as it stands."""

from __future__ import annotations

import re
import sys

import duckdb

from tests.repo.conftest import ROOT

from .rig import Rig, applied


def test_the_query_of_the_page_counts_each_event_once(lake: Rig):
    sys.path.insert(0, str(ROOT / "tools"))
    from segue_docs.lake import page

    lake.write(applied(0, "identify"))
    for n in range(1, 9):
        lake.write(applied(n, event="Paid", profile=n % 2 + 1))
    lake.writer.compact(0, lambda: None)
    found = re.search(r"```sql\n(.*?)```", page(), re.DOTALL)
    assert found is not None
    query = found[1].replace(".segue/spaces/1/lake", str(lake.folder))
    with duckdb.connect() as connection:
        assert connection.execute(query).fetchall() == [("Paid", 8, 2), (None, 1, 1)]
