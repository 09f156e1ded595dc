"""Commands that move events: `replay`, `redrive`, `backup`, `restore`.

Rule: they say what they are about to do, with counts, before they do it; long work shows how far it is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segue.cli.group import data_option, instance_of, open_control, segue, settings_of

if TYPE_CHECKING:
    from segue.control.jobs import JobSpec
    from segue.wiring.instance import Instance
    from segue.wiring.views import Views

OPTIONS = {
    "from": "--from",
    "to": "--to",
    "types": "--type",
    "events": "--event",
    "message_ids": "--message-id",
    "reasons": "--reason",
    "job": "--cancel",
}
"""What a field of a job is called on the command line."""


@segue.command()
@click.argument("destination")
@click.option("--from", "begin", default=None, metavar="TIME", help="ISO 8601, or how long ago: 2h. Default: all held.")
@click.option("--to", "end", default=None, metavar="TIME", help="The first instant no longer wanted. Default: now.")
@click.option("--type", "types", multiple=True, help="Only this call type; may be given several times.")
@click.option("--event", "events", multiple=True, help="Only track calls of this name; may be given several times.")
@click.option("--message-id", "message_ids", multiple=True, help="Only this event; may be given several times.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--cancel", type=int, metavar="JOB", default=None, help="Stop this replay; what it has sent is sent.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@data_option
def replay(
    destination: str,
    begin: str | None,
    end: str | None,
    types: tuple[str, ...],
    events: tuple[str, ...],
    message_ids: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    cancel: int | None,
    as_json: bool,
    data: str | None,
) -> None:
    """Send a part of the log to a destination once more.

    It goes beside the live events, at half their rate at most, and outside their balance.
    """
    from segue.control.units import counted
    from segue.wiring.clock import clock_of
    from segue.wiring.moving import count_replay, spec_between
    from segue.wiring.views import open_views

    settings = settings_of(data)
    instance = instance_of(settings)
    if not dry_run:
        instance.address()  # whoever cannot send need not count
    if cancel is not None:
        _cancel(instance, destination, cancel)
        return
    with _named_by_option(), open_views(instance, clock_of(instance)) as views:
        chosen = {"types": types, "events": events, "message_ids": message_ids}
        spec = spec_between(begin, end, views.clock.now_ms(), **chosen)
        found = count_replay(views, destination, spec, settings)
        nothing_more = dry_run or not found["send"]
        if not as_json:
            click.echo(f"{found['send']} of {counted(found['matched'], 'event')} would be sent to {destination}"
                       f" (filtered: {found['filtered']}, read: {found['read']})")  # fmt: skip
        elif nothing_more:
            click.echo(json.dumps(found))
        if not nothing_more and (yes or _agreed()):
            _replay(instance, views, destination, spec, found["send"], as_json)


@segue.command()
@click.argument("destination")
@click.option("--reason", "reasons", multiple=True, help="Only dead letters of this code; may be given several times.")
@click.option("--message-id", "message_ids", multiple=True, help="Only this event; may be given several times.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@data_option
def redrive(
    destination: str, reasons: tuple[str, ...], message_ids: tuple[str, ...], as_json: bool, data: str | None
) -> None:
    """Send a destination's refused events again.

    For when their cause is mended. All of them, or those of a reason or a messageId.
    """
    from segue.control.jobs import JobSpec, create_redrive
    from segue.control.poke import poke
    from segue.control.units import counted
    from segue.wiring.clock import clock_of
    from segue.wiring.moving import last_of, progress_of
    from segue.wiring.views import open_views

    instance = instance_of(settings_of(data))
    instance.address()
    with _named_by_option(), open_control(instance) as store:
        job = create_redrive(store, destination, JobSpec(reasons=reasons, message_ids=message_ids))
    poke(instance.folder)
    with open_views(instance, clock_of(instance)) as views:
        found = last_of(progress_of(views, job.id))
    if as_json:
        click.echo(json.dumps(found | {"job": job.id}))
    elif found["matched"]:
        click.echo(counted(found["matched"], "event is on its way again", "events are on their way again"))
    else:
        click.echo(f"nothing to send: {destination} has no such dead letters")


@segue.command()
@click.argument("folder", type=click.Path(path_type=Path))
@data_option
def backup(folder: Path, data: str | None) -> None:
    """Copy the instance to a new FOLDER, also while it runs.

    The copy holds the key of the secrets: keep it safe.
    """
    from segue.core.errors import Invalid
    from segue.wiring.clock import clock_of
    from segue.wiring.copies import back_up
    from segue.wiring.hints import pasteable
    from segue.wiring.views import open_views

    instance = instance_of(settings_of(data))
    if folder.resolve().is_relative_to(instance.folder.resolve()):
        raise Invalid(f"{folder} is in the data folder, and would be lost with it; choose another", field="FOLDER")
    with open_views(instance, clock_of(instance)) as views:
        end = back_up(views, folder)
    click.echo(f"Copied to {folder}, up to offset {end}.")
    click.echo(f"Make an instance of it, in a new DIR:  {pasteable('restore', str(folder), folder=Path('DIR'))}")


@segue.command()
@click.argument("folder", type=click.Path(path_type=Path))
@data_option
def restore(folder: Path, data: str | None) -> None:
    """Make an instance of a backup FOLDER.

    The data folder must not hold one yet.
    """
    from segue.wiring.copies import bring_back

    instance = instance_of(settings_of(data))
    bring_back(folder, instance)
    click.echo(f"Restored to {instance.folder}. Start it:  {instance.start_line()}")


def _agreed() -> bool:
    """Ask a person; nobody else can agree. Raises Invalid where there is no terminal."""
    from segue.core.errors import Invalid

    if not sys.stdin.isatty():
        raise Invalid("nothing was sent: there is no terminal to ask on; say --yes to send without being asked")
    return click.confirm("Send them?")


def _replay(
    instance: Instance, views: Views, destination: str, spec: JobSpec, expected: int, as_json: bool
) -> None:  # fmt: skip
    """Ask for the replay and show how far it is. Ctrl-C ends the showing, not the replay."""
    from segue.control.jobs import create_replay
    from segue.control.poke import poke
    from segue.control.units import counted
    from segue.wiring.hints import pasteable
    from segue.wiring.moving import last_of, progress_of

    with open_control(instance) as store:
        job = create_replay(store, destination, spec)
    poke(instance.folder)
    states = progress_of(views, job.id)
    try:
        last = last_of(states if as_json or not sys.stderr.isatty() else _shown(states, expected))
    except KeyboardInterrupt:
        stop = pasteable("replay", destination, "--cancel", str(job.id), folder=instance.folder)
        click.echo(f"\nThe replay goes on without this command. Stop it:  {stop}", err=True)
        raise
    if as_json:
        click.echo(json.dumps(last | {"job": job.id}))
    else:
        click.echo(f"{last['delivered']} delivered, {last['refused']} refused, {last['retrying']} waiting for a retry")
        if last["expired"]:
            click.echo(f"dropped by retention before they were read: {counted(last['expired'], 'record')}")


def _shown(states: Iterator[dict[str, Any]], expected: int) -> Iterator[dict[str, Any]]:
    """The same states, with a bar on the terminal."""
    with click.progressbar(length=expected, label="sending", file=sys.stderr) as bar:
        for state in states:
            bar.update(state["delivered"] + state["filtered"] + state["refused"] - bar.pos)
            yield state


def _cancel(instance: Instance, destination: str, job: int) -> None:
    from segue.control.jobs import cancel_replay
    from segue.control.poke import poke

    with _named_by_option(), open_control(instance) as store:
        cancel_replay(store, destination, job)
    poke(instance.folder)
    click.echo(f"replay {job} takes in no more events; those on their way go on")


@contextmanager
def _named_by_option() -> Iterator[None]:
    """An error about a field of the job names the option instead."""
    from segue.core.errors import Invalid

    try:
        yield
    except Invalid as error:
        if error.field not in OPTIONS:
            raise
        raise Invalid(str(error).removeprefix(f"{error.field}: "), field=OPTIONS[error.field]) from None
