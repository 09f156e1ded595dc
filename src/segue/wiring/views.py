"""Reading an instance from outside its processes: what `status`, `explain` and `/metrics` see.

Rule: it only reads, in the order in which the numbers add up: the state of deliveries, control, what the spaces
have written, then the log's end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

from msgspec import structs

from segue.control.destinations import masker
from segue.control.explain import explain
from segue.control.secrets import Secrets
from segue.control.status import status
from segue.control.units import offset_text
from segue.core.clock import Clock
from segue.core.errors import Damaged, Invalid
from segue.deliver.plan import Plan
from segue.lake.manifest import ManifestReader, ManifestReaders, Position
from segue.log.sqlite_reader import SQLiteLogReader
from segue.settings import Settings
from segue.state.control import Control, ControlStore, DestinationRow
from segue.state.deliveries import DeliveryReader
from segue.state.outbox_reader import OutboxReader, OutboxReaders
from segue.state.profile_readers import ProfileReaders, SpaceReaders
from segue.state.profile_rows import ProfilesState
from segue.state.profiles import ProfileReader
from segue.state.quarantine import QuarantineReader
from segue.wiring.clock import behind_ms, moved_ms
from segue.wiring.hints import pasteable
from segue.wiring.instance import Instance
from segue.wiring.own_sandboxes import sends_to_sandbox
from segue.wiring.worker import plan_of

_Reader = TypeVar("_Reader", bound=ProfileReader | ManifestReader | OutboxReader)
_Read = TypeVar("_Read")


class Views:
    """Readers of one instance's files. Close them by leaving `open_views`."""

    def __init__(
        self,
        instance: Instance,
        *,
        clock: Clock,
        control: ControlStore,
        state: DeliveryReader,
        log: SQLiteLogReader,
        quarantine: QuarantineReader,
        profiles: ProfileReaders,
        lakes: ManifestReaders,
        outboxes: OutboxReaders,
        sandbox_url: str | None,
    ) -> None:
        self.instance = instance
        self.clock = clock
        self.control = control
        self.state = state
        self.log = log
        self.quarantine = quarantine
        self.profiles = profiles
        self.lakes = lakes
        self.outboxes = outboxes
        self._sandbox_url = sandbox_url

    def status(self) -> dict[str, Any]:
        """The object of `segue status --json`."""
        states = self.state.destinations()
        control = self.control.snapshot()
        stalls = self._left_out(control)
        profiles = self.profile_states(control, stalls)
        lakes = self.lake_positions(control, stalls)
        outboxes = _of_each(control, self.outboxes, OutboxReader.count, stalls)
        ends = self.log.ends()
        sandboxes = {row.id: self.is_on_sandbox(row) for row in control.destinations}
        dropped, replays = self.quarantine.counts(), self.state.replays()
        return status(
            control,
            states,
            ends,
            dropped,
            is_sandbox=sandboxes,
            replays=replays,
            profiles=profiles,
            lakes=lakes,
            outboxes=outboxes,
            stalls=stalls,
            clock=offset_text(moved_ms(self.clock)),
            clock_behind_ms=behind_ms(self.log, self.clock.now_ms()),
        )

    def profile_states(self, control: Control, stalls: dict[int, str] | None = None) -> dict[int, ProfilesState]:
        """How far each space is that has begun, by its id. Why one cannot be read is added to `stalls`."""
        return _of_each(control, self.profiles, ProfileReader.state, {} if stalls is None else stalls)

    def lake_positions(self, control: Control, stalls: dict[int, str] | None = None) -> dict[int, Position]:
        """How far the lake of each space is that has begun, by the space's id. `stalls` as of `profile_states`."""
        return _of_each(control, self.lakes, ManifestReader.position, {} if stalls is None else stalls)

    def _left_out(self, control: Control) -> dict[int, str]:
        """Why the worker has left spaces out, by the space's id."""
        found = {}
        for row in control.spaces:
            with suppress(OSError):
                found[row.id] = self.instance.left_out(row.id).read_text()
        return found

    def explain(self, message_id: str, secrets: Secrets) -> list[dict[str, Any]]:
        """What became of every event of this messageId."""
        control: Control = self.control.snapshot()
        plans: dict[tuple[int, int], Plan] = {}

        def plan_at(row: DestinationRow, time_ms: int | None) -> Plan:
            held = None if time_ms is None else self.control.settings_at(row.id, time_ms)
            version, settings = held or (row.settings_version, row.settings)
            if (row.id, version) not in plans:
                plan = plan_of(structs.replace(row, settings=settings), secrets)
                mask = masker(row, secrets, os.environ, settings).mask
                plans[row.id, version] = replace(plan, mask=mask)
            return plans[row.id, version]

        found = explain(
            message_id,
            control=control,
            log=self.log,
            state=self.state,
            quarantine=self.quarantine,
            plan_at=plan_at,
        )
        on_sandbox = {row.slug for row in control.destinations if self.is_on_sandbox(row)}
        shown = list(found)
        for event in shown:
            for delivery in event["deliveries"]:
                if delivery["destination"] in on_sandbox:
                    delivery["sandbox"] = True
        return shown

    def is_on_sandbox(self, row: DestinationRow) -> bool:
        """Whether the destination sends to this instance's own sandboxes."""
        return sends_to_sandbox(row.settings, self._sandbox_url, os.environ)


def _of_each(
    control: Control, readers: SpaceReaders[_Reader], read: Callable[[_Reader], _Read], stalls: dict[int, str]
) -> dict[int, _Read]:
    """What is read of each space that has begun."""
    readers.keep([row.id for row in control.spaces])
    found = {}
    for row in control.spaces:
        try:
            reader = readers.get(row.id)
            if reader is not None:
                found[row.id] = read(reader)
        except Damaged as error:
            stalls.setdefault(row.id, str(error))
    return found


@contextmanager
def open_views(instance: Instance, clock: Clock) -> Iterator[Views]:
    """The readers of an instance, running or not. Raises Invalid where there is none, or where it has never run."""
    instance.require()
    if not (instance.state.exists() and instance.quarantine.exists()):
        start = pasteable("up", folder=instance.folder)
        raise Invalid(f"no Segue has run in {instance.folder} yet; start it with `{start}`", field="--data")
    address = instance.last_address()
    with ExitStack() as stack:
        yield Views(
            instance,
            clock=clock,
            control=stack.enter_context(closing(ControlStore(instance.control, clock))),
            state=stack.enter_context(closing(DeliveryReader(instance.state))),
            log=stack.enter_context(closing(SQLiteLogReader(instance.log))),
            quarantine=stack.enter_context(closing(QuarantineReader(instance.quarantine))),
            profiles=stack.enter_context(closing(ProfileReaders(instance.profiles))),
            lakes=stack.enter_context(closing(ManifestReaders(instance.lake))),
            outboxes=stack.enter_context(closing(OutboxReaders(instance.profiles))),
            sandbox_url=address.sandbox_url if address is not None else None,
        )


def secrets_of(instance: Instance, settings: Settings) -> Secrets:
    """The keys that decrypt the instance's stored secrets."""
    return Secrets.open(instance.folder, settings.secret_key or "")
