"""Running an instance in the foreground: `segue up`.

Rule: what is printed works as it stands: the addresses answer and the line can be pasted.
"""

from __future__ import annotations

import asyncio
import shlex
import signal
from collections.abc import Callable
from pathlib import Path

from segue.wiring.hints import pasteable
from segue.wiring.instance import Address, Instance
from segue.wiring.options import Options
from segue.wiring.supervisor import Supervisor
from segue.wiring.texts import moved_text

Say = Callable[[str], None]


def run_in_foreground(options: Options, say: Say) -> int:
    """Serve until INT or TERM; gives the exit code."""

    def announce(address: Address, write_key: str) -> None:
        for line in announcement(address, write_key, options):
            say(line)

    return asyncio.run(Supervisor(options, say).run(announce))


def run_sandboxes(instance: Instance, port: int, say: Say) -> int:
    """Serve only the sandboxes until INT or TERM; gives the exit code."""
    from segue.wiring.sandboxes import running_sandboxes

    async def serve() -> int:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)

        def ready(url: str) -> None:
            say(f"The sandboxes are ready: {url}")

        await running_sandboxes(instance, port, stop, ready, option="--port")
        return 0

    instance.create()
    return asyncio.run(serve())


def announcement(address: Address, write_key: str, options: Options) -> list[str]:
    """What a person reads when the instance is ready."""
    folder = Path(options.data)
    lines = [f"Segue is ready. Data is in {options.data}; Ctrl-C ends it.", f"  collector  {address.url}"]
    if address.sandbox_url is not None:
        lines.append(f"  sandboxes  {address.sandbox_url}")
    if clock := address.settings.get("clock"):
        lines.append(f"  clock      {moved_text(clock)}")
    if not write_key:
        apply = pasteable("apply", "FILE", folder=folder)
        return [*lines, "", f"No source has a write key yet. Describe one in a FILE, then:  {apply}"]
    event = '{"userId": "u1", "event": "Order Completed", "properties": {"revenue": 25.5}}'
    return [
        *lines,
        "",
        "Send an event:",
        f"  curl -u {write_key}: {shlex.quote(address.url + '/v1/track')} -d {shlex.quote(event)}",
        f"See what became of it:  {pasteable('status', folder=folder)}",
    ]
