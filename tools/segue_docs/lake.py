"""The page of the lake's files, from the table of their columns.

Rule: a column is on the page exactly where it is in the files.
"""

from __future__ import annotations

from segue.lake.columns import COLUMNS, PROPERTY, SORTED_BY
from segue.lake.rows import FREQUENT_MOST, FREQUENT_SHARE, SAMPLE_MOST, VALUE_BYTES_MOST
from segue.lake.writer import REPLACED_KEEP_MS
from segue_docs.markdown import code, generated_from, table

_HEAD = """# Event history: the lake

What the profiles of a space have done is kept in Parquet files, for as long as the space is there, or for
`lake.keep` ([setting](settings.md)). Segue reads them itself
(`segue profiles events`, the [Profile API](profile-api.md)), and any other tool may: DuckDB,
Polars, Spark, pandas.

"""

_READ = """## Read it

```sql
SELECT event, count(*) AS events, count(DISTINCT profile) AS users
FROM (
  SELECT DISTINCT ON (log_offset) *
  FROM read_parquet('.segue/spaces/1/lake/events/*/*/*.parquet', union_by_name = true)
)
GROUP BY event ORDER BY events DESC
```

in DuckDB, or as `duckdb.sql("...")` in Python; `make up` has installed it: `.venv/bin/python`. The number in the
path is the space's, the first one's 1. Read, and change nothing there. `DISTINCT ON (log_offset)` is needed for a
running instance only: where small files were made one, the small ones stay for {minutes} minutes, for whoever is
reading them. Exactly which files count says the table `file` of `lake.db` (SQLite), which lies beside `events`.

"""

_COLUMNS = f"""**Frequent properties** have a column of their own after these, named `{PROPERTY}` and the property: the
value as canonical JSON, null where the event has none. Frequent is, in one file, what at least one of
{FREQUENT_SHARE} of its first {SAMPLE_MOST:,} events has as a text, number or boolean of at most
{VALUE_BYTES_MOST} bytes; the {FREQUENT_MOST} most frequent. Files differ in them: `union_by_name` gives null
for a file that lacks the column, so that only `properties` is right for every event. Names that differ in case
only have none.

**Canonical JSON** is compact, keeps the order of members, and of a member given twice the last value. Whole
numbers below 10^15 are integers, longer integers keep up to 38 digits, others are the shortest form of a
double.

**Which profile.** `profile` is the number that the event was applied to then. Where profiles have merged since,
`profiles.db` (SQLite, beside the lake's folder) says which one it is part of now: table `profile`, `number` to
`canonical` and `segment_id`.

## Files

`events/NAME/DAY/FIRST-LAST.parquet`: NAME is the event's, percent-encoded (`Order%20Completed`; a long one is
cut and ends in a hash; `@identify`, `@group`, `@track` where there is none; `@other` where names are too many
for a file each), DAY the day of receipt in UTC, FIRST and LAST bound its offsets in the log. Compressed with
zstd, sorted by {code(SORTED_BY)}. Each event that the space has applied is in it once: not those that reached
no profile, and none twice, whatever is sent, replayed or restarted.

A file is written when events have waited for `lake.flush` ([setting](settings.md), a minute) or 10,000 wait;
Segue's own reading does not wait for that. Small files of one event and day are made one, again and again;
those of a day that is over are few. Where `lake.keep` is set, the files of a day go when all of its events are
older than that, looked at hourly.
"""


def page() -> str:
    """The page."""
    rows = [(code(column.name), code(column.type), column.meaning) for column in COLUMNS]
    return "".join(
        (
            _HEAD,
            generated_from("segue.lake.columns"),
            _READ.replace("{minutes}", str(REPLACED_KEEP_MS // 60_000)),
            "## Columns\n\n",
            table(("Column", "Type", "Meaning"), rows),
            "\n",
            _COLUMNS,
        )
    )
