"""What the tests have another process do: `python child.py ENGINE FOLDER COMMAND`; one line of JSON for each answer."""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import sys
from pathlib import Path

from engines import ENGINES, Engine, SetClock, events

from segue.core.errors import Unavailable


def say(answer: object) -> None:
    print(json.dumps(answer), flush=True)


def hold(engine: Engine, folder: Path) -> None:
    """Be the writer until told to end."""
    writer = engine.writer(folder, SetClock())
    say("held")
    sys.stdin.readline()
    writer.close()


def read(engine: Engine, folder: Path) -> None:
    """Read on from where the last line of input left off, one answer for each line."""
    reader = engine.reader(folder)
    offset = 0
    for _ in sys.stdin:
        records = reader.read(0, offset, 1000)
        offset += len(records)
        say({"ids": [record.message_id for record in records], "end": reader.ends().offset, "start": reader.start(0)})


def append(engine: Engine, folder: Path) -> None:
    """Append batches of 50 without end, each said once it is acknowledged."""
    writer = engine.writer(folder, SetClock(), segment_records=200)
    begin = writer.ends().offset
    while True:
        writer.append(events(begin, begin + 50))
        begin += 50
        say(begin)


def run_out_of_disk(engine: Engine, folder: Path) -> None:
    """Append until a limit on the size of files is hit, then again without it."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    writer = engine.writer(folder, SetClock(), segment_records=1000)
    reader = engine.reader(folder)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, unlimited[1]))
    begin, body = 0, b"x" * 500
    failed = None
    with contextlib.suppress(Unavailable):
        while begin < 100_000:
            failed = (begin, begin + 200)
            writer.append(events(begin, begin + 200, body=body))
            begin += 200
    ends = [writer.ends().offset, reader.ends().offset]
    again = None
    with contextlib.suppress(Unavailable):
        again = writer.append(events(*failed, body=body))
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    offsets = writer.append(events(*failed, body=body))
    repeated = writer.append(events(*failed, body=body))
    settled = writer.settle(30)
    count = len(reader.read(0, 0, 200_000))
    writer.close()
    say(
        {
            "failed": failed,
            "ends": ends,
            "again": again,
            "offsets": [offsets[0], offsets[-1]],
            "repeated": set(repeated) == {None},
            "settled": settled,
            "trouble": writer.trouble,
            "count": count,
        }
    )


def main() -> None:
    name, folder, command = sys.argv[1:]
    engine = next(engine for engine in ENGINES if engine.name == name)
    {"hold": hold, "read": read, "append": append, "run-out-of-disk": run_out_of_disk}[command](engine, Path(folder))


if __name__ == "__main__":
    main()
