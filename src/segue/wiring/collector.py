"""The collector process: takes events in, keeps the log tidy, and answers questions about the instance.

Rule: it holds the role `collector`, is the only one that writes the log and the quarantine, and applies the workspace
file before it takes the first event.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from structlog.typing import FilteringBoundLogger

from segue import __version__
from segue.api.profiles import PREFIX, ProfileApi
from segue.collect.app import Collector
from segue.collect.auth import SourceKeys
from segue.collect.commit import Committer
from segue.collect.metrics import CollectMetrics
from segue.collect.server import serve
from segue.control.destinations import find_destination
from segue.control.secrets import Secrets
from segue.control.workspace import apply_if_new
from segue.control.workspace_file import errors_of, load_workspace, parse_workspace
from segue.core.clock import Clock
from segue.core.errors import SegueError
from segue.lake.manifest import ManifestReaders
from segue.log import Ends
from segue.log.sqlite import SQLiteLogWriter
from segue.log.sqlite_reader import SQLiteLogReader
from segue.settings import Settings, read_settings
from segue.state.control import Control, ControlStore
from segue.state.deliveries import DeliveryWriter
from segue.state.outbox_reader import OutboxReaders
from segue.state.profile_readers import ProfileReaders
from segue.state.quarantine import Quarantine
from segue.wiring.calling import BY_SERVER, Called, call_destination
from segue.wiring.child import Child
from segue.wiring.clock import behind_ms, own_clock
from segue.wiring.demo import demo_workspace
from segue.wiring.following import Following
from segue.wiring.housekeeping import Housekeeping
from segue.wiring.instance import Instance
from segue.wiring.metrics import InstanceMetrics
from segue.wiring.mover import Mover
from segue.wiring.options import Options, Word
from segue.wiring.patience import patiently
from segue.wiring.ports import listen
from segue.wiring.socket_server import SocketServer
from segue.wiring.texts import behind_text
from segue.wiring.views import open_views
from segue.wiring.worker_process import CONTROL, EVENTS, PIPE_BYTES, policy_of, say

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
JSON = "application/json"


class Wake:
    """Tells the worker of new events and of changes of control."""

    def __init__(self, events: Callable[[], None], control: Callable[[], None]) -> None:
        self.events = events
        self.control = control


def wake_by_pipe(descriptor: int) -> Wake:
    """By one byte."""
    return Wake(partial(say, descriptor, EVENTS), partial(say, descriptor, CONTROL))


def apply_workspace(options: Options, control: ControlStore, secrets: Secrets, ends: Callable[[], Ends]) -> bool:
    """Apply the workspace file, or the demo's, where it differs from the one applied last."""
    if options.workspace is not None:
        path = Path(options.workspace)
        file = load_workspace(path, os.environ)
        with errors_of(path):
            return apply_if_new(control, file, secrets, ends) is not None
    elif options.demo:
        text = demo_workspace(f"http://127.0.0.1:{options.sandbox_port}")
        file = parse_workspace(text.encode(), os.environ)
    else:
        return False
    return apply_if_new(control, file, secrets, ends) is not None


def source_keys(control: Control) -> SourceKeys:
    """The sources by write key."""
    return SourceKeys(control.sources, strict_keys=control.workspace.strict_keys)


class CollectorParts:
    """What the collector process holds open."""

    def __init__(self, options: Options, settings: Settings, clock: Clock, stack: ExitStack) -> None:
        self.options = options
        self.settings = settings
        self.clock = clock
        self.instance = Instance(Path(options.data))
        lock = self.instance.hold("collector")
        stack.callback(os.close, lock)
        self.log = stack.enter_context(
            closing(SQLiteLogWriter(self.instance.log, clock, dedup_window_ms=settings.dedup.window_ms))
        )
        self.control = stack.enter_context(closing(ControlStore(self.instance.control, clock)))
        self.quarantine = stack.enter_context(closing(Quarantine(self.instance.quarantine)))
        DeliveryWriter(self.instance.state).close()  # the file must be there for those that only read it
        self.secrets = Secrets.open(self.instance.folder, settings.secret_key or "")
        self.applied = apply_workspace(options, self.control, self.secrets, self.log.ends)
        self.views = stack.enter_context(open_views(self.instance, clock))
        self._profiles = stack.enter_context(closing(ProfileReaders(self.instance.profiles)))
        self._lakes = stack.enter_context(closing(ManifestReaders(self.instance.lake)))
        self._outboxes = stack.enter_context(closing(OutboxReaders(self.instance.profiles)))
        self._newer = stack.enter_context(closing(SQLiteLogReader(self.instance.log)))

    def profile_api(self, lines: FilteringBoundLogger) -> ProfileApi:
        """The Profile API, with a reader of the log that nobody else waits for."""
        instance = self.instance
        return ProfileApi(instance.profiles, lake_of=instance.lake, log=self._newer, clock=self.clock, lines=lines)

    def housekeeping(self, lines: FilteringBoundLogger) -> Housekeeping:
        """What looks after the log and the disk, with readers that its thread has for itself."""
        return Housekeeping(
            self.instance.folder,
            self.settings,
            log=self.log,
            control=self.control,
            state=self.views.state,
            profiles=self._profiles,
            lakes=self._lakes,
            clock=self.clock,
            lines=lines,
        )

    def mover(
        self, committer: Committer, emitted: asyncio.Event, disk_ok: Callable[[], bool], lines: FilteringBoundLogger
    ) -> Mover:
        """What puts the messages of spaces into the log."""
        return Mover(
            self._outboxes,
            log=self.views.log,
            committer=committer,
            woken=emitted,
            disk_ok=disk_ok,
            clock=self.clock,
            lines=lines,
        )

    async def test(self, slug: str) -> dict[str, Any]:
        """One call to a destination, as the worker would make it."""
        try:
            row = find_destination(self.control.snapshot(), slug)
            policy = policy_of(self.options, self.settings)
            called = await call_destination(row, self.secrets, policy, BY_SERVER, self.clock)
        except SegueError as error:
            called = Called(error=str(error))
        found: dict[str, Any] = msgspec.to_builtins(called)
        return found


@asynccontextmanager
async def running_collector(child: Child, clock: Clock, wake: Wake, emitted: asyncio.Event) -> AsyncIterator[Word]:
    """A collector on this loop, until the end of the block. `emitted` is set where spaces may have new messages."""
    settings = read_settings(os.environ)
    with ExitStack() as stack:
        parts = CollectorParts(child.options, settings, clock, stack)
        if behind := behind_ms(parts.views.log, clock.now_ms()):
            child.log.warning(behind_text(behind))
        listener = await patiently(lambda: listen(child.options.host, child.options.port))
        metrics, limits = CollectMetrics(), settings.collect.limits()
        followers = SocketServer(parts.instance.folder, reload=lambda: following.now(), test=parts.test)

        def appended(_ends: Ends) -> None:
            wake.events()
            followers.grown()

        committer = Committer(
            parts.log, parts.quarantine, clock=clock, limits=limits, metrics=metrics, on_commit=appended
        )
        house = parts.housekeeping(child.log)
        profiles = parts.profile_api(child.log)
        mover = stack.enter_context(closing(parts.mover(committer, emitted, house.disk_ok, child.log)))
        control = parts.control.snapshot()
        profiles.use(control)
        mover.use(control.spaces)
        app = Collector(
            keys=source_keys(control),
            committer=committer,
            clock=clock,
            limits=limits,
            metrics=metrics,
            trusted_proxies=tuple(ip_network(text, strict=False) for text in settings.trusted_proxies),
            disk_ok=house.disk_ok,
            extra_routes=routes(parts, metrics, house),
            mounted={PREFIX: profiles},
        )

        def reload() -> None:
            control = parts.control.snapshot()
            app.keys = source_keys(control)
            profiles.use(control)
            mover.use(control.spaces)
            wake.control()

        following = Following(reload, child.log)
        server = await serve(app, listener, limits=limits, metrics=metrics)
        await followers.start()
        tasks = [asyncio.create_task(house.run()), asyncio.create_task(mover.run())]
        if parts.applied:
            wake.control()
        wake.events()  # one that was killed may have written what it told nobody of
        try:
            yield Word(url=url_of(child.options.host, server.port), write_key=first_write_key(parts.control))
        finally:
            following.close()
            await server.close(child.grace_s)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await committer.close()
            await followers.close()
            await profiles.close()


def routes(
    parts: CollectorParts, metrics: CollectMetrics, house: Housekeeping
) -> dict[str, Callable[[], Awaitable[tuple[int, str, bytes]]]]:
    """What is answered beside the Tracking API."""
    registry = CollectorRegistry()
    registry.register(metrics)
    registry.register(InstanceMetrics(parts.views, parts.clock, lambda: house.free_bytes))

    async def livez() -> tuple[int, str, bytes]:
        return 200, JSON, b'{"live": true}'

    async def readyz() -> tuple[int, str, bytes]:
        reasons = []
        if not house.disk_ok():
            reasons.append(f"disk is short: {house.free_bytes} bytes are free")
        if not parts.instance.is_held("worker"):
            reasons.append("the worker does not run")
        body = msgspec.json.encode({"ready": not reasons, "reasons": reasons})
        return (503 if reasons else 200), JSON, body

    async def version() -> tuple[int, str, bytes]:
        return 200, JSON, msgspec.json.encode({"version": __version__})

    async def scrape() -> tuple[int, str, bytes]:
        return 200, PROMETHEUS, generate_latest(registry)

    return {"/livez": livez, "/readyz": readyz, "/version": version, "/metrics": scrape}


def url_of(host: str, port: int) -> str:
    """The address to reach a listener by."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{name}:{port}"


def first_write_key(control: ControlStore) -> str:
    """A write key to try the instance with; empty where there is none."""
    keys = (key for source in control.snapshot().sources if source.enabled for key in source.write_keys)
    return next(keys, "")


async def serve_collector(child: Child) -> None:
    """Take events in until told to stop."""
    emitted, loop = asyncio.Event(), asyncio.get_running_loop()

    def heard() -> None:
        with suppress(BlockingIOError):
            os.read(child.pipes.outbox, PIPE_BYTES)
            emitted.set()

    async with running_collector(child, own_clock(), wake_by_pipe(child.pipes.wake), emitted) as word:
        loop.add_reader(child.pipes.outbox, heard)
        child.ready(word)
        await child.stop.wait()
        loop.remove_reader(child.pipes.outbox)
