"""The log between processes: a second writer, a reader elsewhere, a writer killed, a disk that is full."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from segue.core.errors import Held
from segue.log import Ends

from .conftest import Log
from .engines import SETTLE_SECONDS, event, events

CHILD = Path(__file__).with_name("child.py")


class Child:
    """Another process with the log."""

    def __init__(self, log: Log, command: str) -> None:
        arguments = [sys.executable, str(CHILD), log.engine.name, str(log.folder), command]
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self) -> object:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> object:
        return json.loads(self.process.stdout.readline())


@contextmanager
def child(log: Log, command: str) -> Iterator[Child]:
    other = Child(log, command)
    try:
        yield other
    finally:
        other.process.stdin.close()
        other.process.kill()
        other.process.wait()
        other.process.stdout.close()


def test_a_second_writer_is_told_the_pid_of_the_first(log: Log) -> None:
    with child(log, "hold") as other:
        assert other.answer() == "held"
        with pytest.raises(Held, match=rf"\b{other.process.pid}\b"):
            log.open()
        other.process.kill()
        other.process.wait()
        assert log.open().append([event(1)]) == [0]


def test_a_reader_in_another_process_sees_what_was_appended_and_dropped(log: Log) -> None:
    writer = log.open(segment_records=4)
    with child(log, "read") as other:
        assert other.ask() == {"ids": [], "end": 0, "start": 0}
        writer.append(events(0, 3))
        assert other.ask() == {"ids": ["m0", "m1", "m2"], "end": 3, "start": 0}
        for number in range(3, 14):
            writer.append([event(number)])
        assert other.ask() == {"ids": [f"m{number}" for number in range(3, 14)], "end": 14, "start": 0}
        assert writer.settle(SETTLE_SECONDS)
        writer.drop_passed(8)
        writer.append([event(14)])
        assert other.ask() == {"ids": ["m14"], "end": 15, "start": 4}


def test_a_reader_that_stands_still_keeps_no_append_waiting(log: Log) -> None:
    writer = log.open(segment_records=4)
    with child(log, "read") as other:
        writer.append(events(0, 2))
        other.ask()
        for number in range(2, 40):
            assert writer.append([event(number)]) == [number]
        other.ask()
        assert writer.settle(SETTLE_SECONDS)
        assert writer.drop_oldest() is not None


@pytest.mark.parametrize("batches", [1, 3, 9, 30])
def test_what_was_acknowledged_outlives_a_killed_writer(log: Log, batches: int) -> None:
    with child(log, "append") as other:
        acknowledged = max(int(str(other.answer())) for _ in range(batches))
        other.process.send_signal(signal.SIGKILL)
        other.process.wait()
    writer = log.open(segment_records=200)
    end = writer.ends().offset
    assert end >= acknowledged
    assert end % 50 == 0
    assert writer.ends() == log.reader().ends() == Ends(end, {"website": (end, 0)})
    assert [record.message_id for record in log.reader().read(0, 0, 99_999)] == [f"m{n}" for n in range(end)]
    assert writer.append(events(0, end + 50)) == [*[None] * end, *range(end, end + 50)]
    assert writer.settle(SETTLE_SECONDS)


def test_a_full_disk_fails_one_append_and_leaves_the_next_to_succeed(log: Log) -> None:
    with child(log, "run-out-of-disk") as other:
        answer = other.answer()
    assert isinstance(answer, dict)
    first, last = answer["failed"]
    assert first > 0
    assert answer == {
        "failed": [first, last],
        "ends": [first, first],
        "again": None,
        "offsets": [first, last - 1],
        "repeated": True,
        "settled": True,
        "trouble": None,
        "count": last,
    }
    assert log.open().append(events(0, last)) == [None] * last
