"""Commands that send: `send` an event, `destinations` and their test call.

Rule: what is sent is told with its answer, in the words of whoever answered.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from segue.cli.group import data_option, instance_of, open_control, segue, settings_of

if TYPE_CHECKING:
    from segue.wiring.instance import Instance


@segue.command()
@click.argument("event", required=False)
@click.option("--type", "kind", default="track", help="The call type. Default: track.")
@click.option("--user-id", default="segue-test", help="Default: segue-test.")
@click.option("--name", default="Test Event", help="The event name of a track call. Default: Test Event.")
@click.option("--write-key", default=None, help="Default: the first one of the workspace.")
@data_option
def send(event: str | None, kind: str, user_id: str, name: str, write_key: str | None, data: str | None) -> None:
    """Send one event to the running instance.

    EVENT is JSON, or - to read it from stdin. Without one, a test event is made.
    """
    from segue.wiring.sending import given_event, made_event, send_event

    instance = instance_of(settings_of(data))
    address = instance.address()
    text = sys.stdin.read() if event == "-" else event
    chosen = made_event(kind, user_id, name) if text is None else given_event(text)
    with open_control(instance) as store:
        sent = send_event(address.url, store.snapshot(), chosen, write_key)
    click.echo(f"{sent.status} {sent.body}")
    click.echo(f"See what becomes of it:  {_again()} explain {sent.message_id} --data {instance.folder}")
    if sent.status != 200:
        sys.exit(1)


@segue.group()
def destinations() -> None:
    """List, switch and test destinations."""


@destinations.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@data_option
def list_destinations(as_json: bool, data: str | None) -> None:
    """List the destinations of the workspace."""
    from segue.wiring.texts import table

    with open_control(_existing(data)) as store:
        rows = store.snapshot().destinations
    if as_json:
        names = ("slug", "name", "kind", "source", "enabled")
        click.echo(json.dumps([{name: getattr(row, name) for name in names} for row in rows]))
        return
    cells = [(row.slug, row.name, row.kind, row.source, "on" if row.enabled else "off") for row in rows]
    click.echo("\n".join(table(("SLUG", "NAME", "KIND", "SOURCE", "STATE"), cells)))


@destinations.command()
@click.argument("slug")
@data_option
def enable(slug: str, data: str | None) -> None:
    """Switch a destination on."""
    _switch(slug, data, enabled=True)


@destinations.command()
@click.argument("slug")
@data_option
def disable(slug: str, data: str | None) -> None:
    """Switch a destination off.

    Its events count as filtered from then on; what waits for a retry waits on.
    """
    _switch(slug, data, enabled=False)


@destinations.command("test")
@click.argument("slug")
@data_option
def test_destination(slug: str, data: str | None) -> None:
    """Make one real call and show the vendor's words."""
    from segue.control.destinations import find_destination
    from segue.wiring.sending import call_destination
    from segue.wiring.views import secrets_of

    settings = settings_of(data)
    instance = instance_of(settings)
    instance.require()
    with open_control(instance) as store:
        row = find_destination(store.snapshot(), slug)
    called = call_destination(row, secrets_of(instance, settings), settings, instance.last_address())
    for line in called.lines:
        click.echo(line)
    if not called.delivered:
        sys.exit(1)


def _switch(slug: str, data: str | None, *, enabled: bool) -> None:
    from segue.control import destinations as rows
    from segue.control.poke import poke

    instance = _existing(data)
    with open_control(instance) as store:
        rows.enable(store, slug, enabled=enabled)
    poke(instance.folder)
    click.echo(f"{slug} is {'on' if enabled else 'off'}")


def _existing(data: str | None) -> Instance:
    instance = instance_of(settings_of(data))
    instance.require()
    return instance


def _again() -> str:
    """How this command was called, so that the line that is printed can be pasted."""
    return "segue" if sys.argv[0].endswith("__main__.py") else sys.argv[0]
