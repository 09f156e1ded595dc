"""Commands that look at an instance: `status`, `explain`, `tail`, `doctor`.

Rule: they change nothing, and work on a running instance as on one that is stopped.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import Any

import click

from segue.cli.group import data_option, instance_of, segue, settings_of


@segue.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@data_option
def status(as_json: bool, data: str | None) -> None:
    """Show every source and destination in numbers that add up."""
    from segue.wiring.checkup import room
    from segue.wiring.clock import clock_of
    from segue.wiring.hints import pasteable
    from segue.wiring.texts import status_lines
    from segue.wiring.views import open_views

    settings = settings_of(data)
    instance = instance_of(settings)
    with open_views(instance, clock_of(instance)) as views:
        found = views.status()
    if as_json:
        click.echo(json.dumps(found))
        return
    paste = partial(pasteable, folder=instance.folder)
    start = None if instance.is_held("supervisor") else instance.start_line()
    disk = room(instance, settings)
    shortage = "" if disk.well or start is not None else disk.text
    click.echo("\n".join(status_lines(found, paste, start=start, shortage=shortage)))


@segue.command()
@click.argument("message_id")
@click.option("--source", default=None, help="The source, where several have an event of this messageId.")
@click.option("--all", "every", is_flag=True, help="Every event of this messageId, duplicates and dropped ones too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --all, one object a line.")
@data_option
def explain(message_id: str, source: str | None, every: bool, as_json: bool, data: str | None) -> None:
    """Show what became of the event with this messageId.

    From the request that brought it to each vendor's answer.
    """
    import msgspec

    from segue.wiring.clock import clock_of
    from segue.wiring.hints import pasteable
    from segue.wiring.texts import explain_lines
    from segue.wiring.views import open_views, secrets_of

    settings = settings_of(data)
    instance = instance_of(settings)
    with open_views(instance, clock_of(instance)) as views:
        found = views.explain(message_id, secrets_of(views.instance, settings))
    chosen = [event for event in found if source is None or event["source"] == source]
    if not chosen:
        raise _unknown(message_id, source, found)
    paste = partial(pasteable, folder=views.instance.folder)
    for event in chosen if every else chosen[:1]:
        click.echo(msgspec.json.encode(event) if as_json else "\n".join(explain_lines(event, paste)))
    if len(chosen) > 1 and not every:
        click.echo(f"{len(chosen) - 1} more with this messageId: {_told(chosen[1:])}; see --all and --source", err=True)


@segue.command()
@click.option("-n", "--lines", "count", type=click.IntRange(0, 1000), default=10, help="Begin with so many events.")
@click.option("--source", default=None, help="Only this source; begins with those among the newest 100,000 of all.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as JSON.")
@click.option("--no-follow", is_flag=True, help="End instead of waiting for more.")
@data_option
def tail(count: int, source: str | None, as_json: bool, no_follow: bool, data: str | None) -> None:
    """Show events as they come in.

    Those that are dropped stand among them, with the reason.
    """
    from segue.control.sources import find_source
    from segue.wiring.clock import clock_of
    from segue.wiring.tailing import follow, newest
    from segue.wiring.texts import event_line
    from segue.wiring.views import open_views

    instance = instance_of(settings_of(data))
    with open_views(instance, clock_of(instance)) as views:
        if source is not None:
            find_source(views.control.snapshot(), source)
        position = newest(views, count, source)
        for entry in position.entries if no_follow else follow(views, position):
            click.echo(event_line(entry, as_json=as_json))
            sys.stdout.flush()
    if not no_follow:
        click.echo("the server has ended", err=True)


@segue.command()
@data_option
def doctor(data: str | None) -> None:
    """Check the instance, and say what to do.

    The exit code is 1 where something is wrong.
    """
    from segue.wiring.checkup import checkup

    settings = settings_of(data)
    findings = checkup(instance_of(settings), settings)
    for finding in findings:
        mark = click.style("ok ", fg="green") if finding.well else click.style("BAD", fg="red")
        click.echo(f"{mark}  {finding.text}")
    if not all(finding.well for finding in findings):
        sys.exit(1)


def _unknown(message_id: str, source: str | None, found: list[dict[str, Any]]) -> Exception:
    from segue.core.errors import Invalid

    if found:
        return Invalid(f"{message_id!r} did not come from {source!r}, but from: {_told(found)}", field="--source")
    return Invalid(
        f"no event with messageId {message_id!r} is held: it never came, or it is older than log.keep, or it was "
        "dropped, or came again, so long ago that newer ones took its place in the quarantine"
    )


def _told(events: list[dict[str, Any]]) -> str:
    return ", ".join(sorted({f"{event['source'] or 'an unknown key'} ({event['outcome']})" for event in events}))
