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
@click.option("--type", "kind", default=None, help="The test event's call type. Default: track.")
@click.option("--user-id", default=None, help="The test event's user. Default: segue-test.")
@click.option("--name", default=None, help="The test event's name, of a track call. Default: Test Event.")
@click.option("--write-key", default=None, help="Default: the first one of the workspace.")
@data_option
def send(
    event: str | None, kind: str | None, user_id: str | None, name: str | None, write_key: str | None, data: str | None
) -> None:
    """Send one event to the running instance.

    EVENT is JSON, or - to read it from stdin. Without one, a test event is made. The exit code is 1 where it is not
    accepted.
    """
    from segue.wiring.hints import pasteable
    from segue.wiring.sending import fates_of, given_event, identified, made_event, send_event
    from segue.wiring.texts import meaning

    if event is not None and (kind or user_id or name):
        raise click.UsageError("--type, --user-id and --name are for a test event; EVENT says them itself")
    instance = instance_of(settings_of(data))
    url = instance.address().url
    text = sys.stdin.read() if event == "-" else event
    if text is None:
        chosen = identified(made_event(kind or "track", user_id or "segue-test", name or "Test Event"))
    else:
        chosen = identified(given_event(text))
    dropped_before, again_before = fates_of(instance, chosen)
    with open_control(instance) as store:
        sent = send_event(url, store.snapshot(), chosen, write_key)
    click.echo(f"{sent.status} {sent.body}")
    if sent.status != 200:
        sys.exit(1)
    dropped, again = fates_of(instance, chosen)
    if len(dropped) > len(dropped_before):
        click.echo(f"But it was dropped as {dropped[-1]}: {meaning(dropped[-1])}")
        sys.exit(1)
    if again > again_before:
        click.echo("But it is a duplicate: its messageId had come within dedup.window before, so it goes to nobody.")
    line = pasteable("explain", sent.message_id, folder=instance.folder)
    click.echo(f"See what becomes of it:  {line}")


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
    """Make one real call and show the vendor's words.

    The running server makes it, with its own environment; where none runs, it is made from here.
    """
    from segue.control.destinations import find_destination
    from segue.wiring.calling import called
    from segue.wiring.views import secrets_of

    settings = settings_of(data)
    instance = instance_of(settings)
    instance.require()
    with open_control(instance) as store:
        row = find_destination(store.snapshot(), slug)
    found = called(instance, row, secrets_of(instance, settings), settings)
    for line in found.lines:
        click.echo(line)
    if not found.delivered:
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
