"""Whatever is appended, in whatever batches, with seals, restarts and drops: the log is what a list would be."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from segue.core.errors import OffsetExpired
from segue.core.event import NewRecord, Record
from segue.log import LogReader, LogWriter

from .engines import SETTLE_SECONDS, Engine, SetClock

WINDOW_MS = 50
NEW = st.builds(
    NewRecord,
    source=st.sampled_from("ab"),
    type=st.sampled_from(["track", "page"]),
    user_key=st.text(max_size=5),
    message_id=st.integers(0, 40).map(str) | st.text(min_size=1, max_size=8),
    received_at=st.integers(0, 2**40),
    body=st.binary(max_size=40),
    destinations=st.none() | st.just("1,2"),
)


class LogAndList(RuleBasedStateMachine):
    """The model: a list of records, the window applied by looking at all of it."""

    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self.temporary.name) / "log"
        self.clock = SetClock(1000)
        self.start = 0
        self.model: list[Record] = []
        self.duplicates = {"a": 0, "b": 0}
        self.writer = self.open()
        self.reader: LogReader = self.engine.reader(self.folder)

    def open(self) -> LogWriter:
        limits = {"segment_records": 7, "segment_bytes": 200, "dedup_window_ms": WINDOW_MS}
        return self.engine.writer(self.folder, self.clock, **limits)

    @rule(batch=st.lists(NEW, max_size=12))
    def append(self, batch: list[NewRecord]) -> None:
        assert self.writer.append(batch) == [self.expected_offset(new) for new in batch]

    def expected_offset(self, new: NewRecord) -> int | None:
        now_ms = max([self.clock.time_ms, *(record.appended_at for record in self.model[-1:])])
        ordinals = [record.ordinal for record in self.model if record.source == new.source]
        for record in self.model[self.start :]:
            same = (record.source, record.message_id) == (new.source, new.message_id)
            if same and now_ms - record.appended_at < WINDOW_MS:
                self.duplicates[new.source] += 1
                return None
        offset = len(self.model)
        self.model.append(
            Record(
                offset, new.received_at, now_ms, new.source, len(ordinals) + 1,
                new.type, new.user_key, new.message_id, new.destinations, new.body,
            )
        )  # fmt: skip
        return offset

    @rule(step_ms=st.integers(-20, 40))
    def let_time_pass(self, step_ms: int) -> None:
        self.clock.time_ms += step_ms

    @rule()
    def settle(self) -> None:
        assert self.writer.settle(SETTLE_SECONDS)
        assert self.writer.trouble is None

    @rule()
    def restart(self) -> None:
        self.writer.close()
        self.writer = self.open()

    @rule()
    def read_from_elsewhere(self) -> None:
        self.reader.close()
        self.reader = self.engine.reader(self.folder)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        passed = data.draw(st.integers(self.start, len(self.model)))
        assert self.writer.settle(SETTLE_SECONDS)  # so that it does not depend on time what may be dropped
        dropped = self.writer.drop_passed(passed)
        if dropped is not None:
            assert dropped.start == self.start < dropped.end <= passed
            self.start = dropped.end

    @invariant()
    def the_log_is_the_list(self) -> None:
        end = len(self.model)
        sources = {source: (sum(r.source == source for r in self.model), self.duplicates[source]) for source in "ab"}
        ends = self.reader.ends()
        assert ends == self.writer.ends()
        assert ends.offset == end == self.reader.end(0)
        assert {source: ends.sources.get(source, (0, 0)) for source in "ab"} == sources
        assert self.reader.start(0) == self.start
        assert self.reader.read(0, self.start, end + 1) == self.model[self.start :]
        if self.start:
            with pytest.raises(OffsetExpired):
                self.reader.read(0, self.start - 1, 1)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def look_up(self, data: st.DataObject) -> None:
        held = self.model[self.start :]
        record = data.draw(st.sampled_from(self.model))
        same = [other for other in held if (other.source, other.message_id) == (record.source, record.message_id)]
        assert self.reader.find(record.message_id, [record.source]) == same
        assert self.reader.get([record.offset]) == [record][: record.offset >= self.start]
        later = [other.offset for other in held if other.appended_at >= record.appended_at]
        assert self.reader.seek(0, record.appended_at) == (later[0] if later else len(self.model))

    def teardown(self) -> None:
        self.reader.close()
        self.writer.close()
        self.temporary.cleanup()


def test_the_log_is_what_a_list_would_be(engine: Engine) -> None:
    machine = type("Machine", (LogAndList,), {"engine": engine})
    checks = settings(max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine, settings=checks)  # type: ignore[no-untyped-call]
