"""What must hold, checked from outside: at each request, answer, pump and commit, and when all is healed."""

from __future__ import annotations

from collections import Counter, defaultdict

from segue.core.destination import Response
from segue.core.event import Event
from segue.deliver.breaker import KEY_REFUSALS_TO_OPEN
from segue.deliver.delivery import Delivery
from segue.state.deliveries import DeliveryReader, Delta, DestinationState
from tests.sim.process import Process
from tests.sim.world import Log, Vendor

ROWS_EACH = 5
"""How many commits pass between two counts of the rows on disk."""


class Subject:
    """What the oracle knows of one destination."""

    def __init__(self, number: int, sources: frozenset[str], state: DestinationState, vendor: Vendor) -> None:
        self.number = number
        self.sources = set(sources)
        self.vendor = vendor
        self.begin = state.position
        self.passed_at_begin = dict(state.passed)
        self.delivered: set[int] = set()  # committed
        self.excused: set[int] = set()  # refused, filtered, expired or replayed: out of the order of the others
        self.replayed: set[int] = set()
        self.window_most = 0
        self.key_refusals = 0

    def lost_memory(self, machine: Delivery, committed: DestinationState | None) -> None:
        """The process dies: what it had refused or filtered, and not committed, will be looked at anew."""
        ledger, taken = machine.ledger, machine.ledger._committing
        self.excused.update(letter.offset for letter in (*ledger._dead, *(taken.dead if taken else ())))
        spans = [*ledger._disabled.items(), *((first, last) for _, first, last in (taken.disabled if taken else ()))]
        for first, last in spans:
            self.excused.update(range(first, last + 1))
        self.key_refusals = committed.key_refusals if committed is not None else 0


class Oracle:
    """Raises AssertionError where something does not hold."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.subjects: dict[int, Subject] = {}
        self.checks = Counter[str]()
        self._keys: dict[int, tuple[str, ...]] = {}

    def keys(self, offset: int) -> tuple[str, ...]:
        """The order keys of an event of the log."""
        if offset not in self._keys:
            record = self.log.records[offset]
            event = Event(record.body)
            user, device = event.user_id, event.anonymous_id
            keys = (f"u:{user}" if user else "", f"a:{device}" if device else "")
            self._keys[offset] = tuple(filter(None, keys)) or (f"p:{record.user_key}",)
        return self._keys[offset]

    def request(self, process: Process, number: int, offsets: list[int], *, begins: bool) -> None:
        """A request goes out; `begins`: it is the first of its attempt."""
        assert not process.halted, "a request goes out while a commit is failing"
        machine = process.machines.get(number)
        if not begins or machine is None:
            return
        self.checks["attempts"] += 1
        keys = [key for offset in offsets for key in self.keys(offset)]
        assert len(keys) == len(set(keys)), "two events of a batch share a key"
        assert machine.plan.enabled
        assert machine.sender.flying <= machine.plan.max_concurrency
        subject = self.subjects[number]
        for offset in offsets:
            assert offset in subject.replayed or offset not in subject.delivered, f"{offset} is sent again"
            if offset not in subject.excused:
                for item in (item for key in self.keys(offset) for item in machine.lanes._lanes[key]):
                    earlier = not item.job and item.offset < offset and item.offset not in subject.excused
                    assert not earlier, f"{offset} overtakes {item.offset}"

    def answered(self, machine: Delivery, before: DestinationState, response: Response) -> None:
        """An answer has been heard; `before` is a copy of the counts as they were."""
        state, subject = machine.ledger.state, self.subjects[machine.ledger.destination]
        if response.status == 429:
            self.checks["429"] += 1
            assert state.retrying <= before.retrying, "429 parked something"
        code = "INVALID_AUTHENTICATION"
        subject.key_refusals += state.refused.get(code, 0) - before.refused.get(code, 0)
        assert subject.key_refusals <= KEY_REFUSALS_TO_OPEN, "a revoked key drains the log"
        if 200 <= response.status < 500 and response.status not in (401, 403, 408, 423, 429):
            subject.key_refusals = 0

    def pumped(self, process: Process, machine: Delivery, at: int | None, *, thorough: bool) -> None:
        """A machine has done what it could; `at` is when it wants to be called again."""
        sender, plan, state = machine.sender, machine.plan, machine.ledger.state
        subject = self.subjects[machine.ledger.destination]
        subject.window_most = max(subject.window_most, machine.limits.window, 2 * plan.batch_size)
        assert len(machine.window) <= subject.window_most, "the window is over its bound"
        waiting = [len(replay.waiting) for replay in machine.replays.values()]
        assert not waiting or max(waiting) <= machine.limits.replay_window
        rows = machine.ledger.retry_rows() + len(machine.window) + sum(waiting)
        assert rows <= machine.limits.retry_rows, "there may come to be more retry rows than their bound"
        sleeps = at is None and not process.is_awake(machine.ledger.destination)
        if sleeps and plan.enabled and not plan.stall and not sender.must_commit:
            self.checks["sleeps"] += 1
            if not sender.flying:
                assert not sender.queue, "it sleeps though something may be sent"
                assert not len(machine.lanes), "it sleeps on events that wait"
                assert not machine.window
            if min(sender.room, machine.retry_room()) > 0 and not state.stall:
                assert state.position == len(self.log.records), "it sleeps though there is something to read"
        if thorough:
            self._places(machine)

    def _places(self, machine: Delivery) -> None:
        """Every item has exactly one place, and the counts are those of the places."""
        self.checks["places"] += 1
        queue, lanes = machine.sender.queue, machine.lanes
        queued = Counter(id(item) for item in (*queue.ready, *queue.aside, *(entry[2] for entry in queue._due)))
        assert not queued or max(queued.values()) == 1, "an item is queued twice"
        items = {id(item): item for lane in lanes._lanes.values() for item in lane}
        assert queued.keys() <= items.keys(), "something is queued that stands in no lane"
        parked, size = Counter[int](), 0
        for number, item in items.items():
            head = lanes.is_head(item)
            assert (number in queued) == (head and not item.flying)
            assert head or not item.flying
            assert len(item.history) <= 10
            if item.parked:
                parked[item.job] += 1
                size += item.size
                assert item.flying or (item.event is None and not item.history), "a parked event is held in memory"
            else:
                held = machine.replays[item.job].waiting if item.job else machine.window
                assert held[item.offset] is item
        assert len(machine.window) == sum(1 for item in items.values() if not item.parked and not item.job)
        for lane in lanes._lanes.values():
            places = [(item.parked, item.arrival) for item in lane]
            assert places == sorted(places), "a lane is out of order, or holds an unparked event behind a parked one"
        if machine._redriven:
            return  # their rows are counted, and are read once they are committed
        assert parked[0] == machine.ledger.state.retrying
        assert size == machine.ledger.state.retry_bytes
        assert all(replay.retrying == parked[job] for job, replay in machine.ledger.replays.items())

    def committed(self, process: Process, deltas: list[Delta]) -> None:
        """A transaction is durable."""
        for delta in deltas:
            subject = self.subjects[delta.destination]
            subject.delivered.update(row.offset for row in delta.delivered)
            subject.excused.update(letter.offset for letter in delta.dead if not letter.job)
            for _, first, last in delta.disabled:
                subject.excused.update(range(first, last + 1))
            for letter in delta.dead:
                assert letter.reason != "RETRY" or letter.history != b"[]", "given up without an attempt"
        self.checks["commits"] += 1
        states = process.rows.reader.destinations()
        for delta in deltas:
            number = delta.destination
            self._balance(self.subjects[number], states[number])
            if self.checks["commits"] % ROWS_EACH == 0:
                self._rows_are_those_counted(process.rows.reader, number, states[number])

    def _balance(self, subject: Subject, state: DestinationState) -> None:
        begins = {source: subject.passed_at_begin.get(source, 0) for source in subject.sources}
        passed = sum(state.passed.get(source, begin) - begin for source, begin in begins.items())
        final = state.delivered + sum(state.filtered.values()) + sum(state.refused.values())
        assert passed == final + state.retrying + len(state.unfinished), (passed, state)
        for source in subject.sources & state.passed.keys():
            assert state.passed[source] == max(begins[source], self.log.accepted_before(source, state.position))
        assert min((*state.refused.values(), state.retrying, state.retry_bytes, state.dead_letters)) >= 0
        assert state.replayed_dead_letters >= 0

    def _rows_are_those_counted(self, reader: DeliveryReader, number: int, state: DestinationState) -> None:
        self.checks["rows"] += 1
        retries = reader._rows(
            "SELECT job, count(*), sum(length(body) + length(history)) FROM retry WHERE destination = ? GROUP BY job",
            (number,),
        )
        rows = {job: count for job, count, _ in retries}
        assert rows.pop(0, 0) == state.retrying
        assert rows == {job: replay.retrying for job, replay in reader.replays(number).items() if replay.retrying}
        assert sum(size for *_, size in retries) == state.retry_bytes
        letters = reader._rows("SELECT job, body FROM dead_letter WHERE destination = ?", (number,))
        assert sum(1 for job, body in letters if body and not job) == state.dead_letters
        assert sum(1 for job, body in letters if body and job) == state.replayed_dead_letters
        assert sum(1 for _, body in letters if not body) == state.dead_letters_cut

    def healed(self, process: Process) -> None:
        """Everything is final, and each vendor got what it should, in order."""
        reader = process.rows.reader
        for number, state in reader.destinations().items():
            subject = self.subjects[number]
            assert state.position == len(self.log.records)
            assert not state.unfinished
            assert not state.retrying
            assert (state.breaker, state.stall) == ("closed", "")
            for replay in reader.replays(number).values():
                assert replay.state != "running"
                assert (replay.retrying, replay.unfinished) == (0, [])
            self._arrived_in_order(subject)
            self._accounts_for_each(reader, subject, state)

    def _arrived_in_order(self, subject: Subject) -> None:
        last: dict[str, int] = defaultdict(lambda: -1)
        seen: set[int] = set()
        for offset, took in subject.vendor.arrivals:
            if took and offset not in seen and offset not in subject.excused:
                seen.add(offset)
                for key in self.keys(offset):
                    assert offset > last[key], f"{offset} arrived after {last[key]}"
                    last[key] = offset

    def _accounts_for_each(self, reader: DeliveryReader, subject: Subject, state: DestinationState) -> None:
        delivered = {
            row[0] for row in reader._rows("SELECT offset FROM delivered WHERE destination = ?", (subject.number,))
        }
        letters = reader.dead_letters(subject.number, limit=1_000_000)
        dead = {letter.offset for _, letter in letters if not letter.job}
        read = {
            record.offset
            for record in self.log.records[subject.begin :]
            if record.source in subject.sources and record.ordinal > subject.passed_at_begin.get(record.source, 0)
        }
        named = [self.log.records[offset].destinations for offset in delivered | dead]
        assert all(names is None or str(subject.number) in names.split(",") for names in named)
        assert (delivered | dead) - subject.replayed <= read
        taken = {offset for offset, took in subject.vendor.arrivals if took}
        assert delivered <= taken, "delivered, though the vendor never got it"
        if not subject.replayed:
            assert len(delivered) == state.delivered
            assert not delivered & dead
            filtered = sum(state.filtered.values()) + state.refused.get("LOG_EXPIRED", 0)
            assert len(read) == len(delivered) + len(dead) + filtered
