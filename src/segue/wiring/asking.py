"""The files of a space for a question about it, from a running instance as from one that is stopped.

Rule: nothing is changed, and nothing is held up: what is read together is read in a snapshot of a moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from segue.control.spaces import find_space
from segue.control.units import keep_ms
from segue.core.errors import Invalid
from segue.lake.history import SpaceFiles
from segue.log.sqlite_reader import SQLiteLogReader
from segue.state.computed import ComputedReader
from segue.state.control import Control, ControlStore
from segue.state.database import is_made
from segue.state.outbox_reader import OutboxReader
from segue.state.profiles import ProfileReader
from segue.wiring.clock import clock_of

if TYPE_CHECKING:
    from segue.settings import Settings
    from segue.state.spaces import SpaceRow
    from segue.wiring.instance import Instance


class Asking(NamedTuple):
    """Readers of one space, of one connection. `retention_ms` is that of the running server, or of the settings."""

    instance: Instance
    control: Control
    space: SpaceRow
    profiles: ProfileReader
    computed: ComputedReader
    outbox: OutboxReader
    log: SQLiteLogReader
    now_ms: int
    retention_ms: int | None

    @property
    def files(self) -> SpaceFiles:
        """For a question of its history."""
        return SpaceFiles(self.instance.profiles(self.space.id), self.instance.lake(self.space.id), self.log)


@contextmanager
def asking(instance: Instance, settings: Settings, slug: str | None) -> Iterator[Asking]:
    """The space of this slug, or the only one. Raises Invalid where there is none, or nothing is known of it yet."""
    instance.require()
    clock = clock_of(instance)
    with ExitStack() as stack:
        control = stack.enter_context(closing(ControlStore(instance.control, clock))).snapshot()
        space = find_space(control, slug)
        path = instance.profiles(space.id)
        if not is_made(path):
            raise Invalid(f"nothing is known of {space.slug!r} yet: no server has run", field="--space")
        running = instance.settings_in_effect()
        keep = settings.lake.keep_ms if running is None else keep_ms(running.get("lake.keep", "off"), "lake.keep")
        profiles = stack.enter_context(closing(ProfileReader(path)))
        yield Asking(
            instance=instance,
            control=control,
            space=space,
            profiles=profiles,
            computed=ComputedReader.beside(profiles),
            outbox=OutboxReader.beside(profiles),
            log=stack.enter_context(closing(SQLiteLogReader(instance.log))),
            now_ms=clock.now_ms(),
            retention_ms=keep,
        )
