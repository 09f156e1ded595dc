"""Commands that move events: `replay`, `redrive`, `backup`, `restore`.

Rule: they say what they are about to do, with counts, before they do it; long work shows how far it is.
"""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from segue.cli.group import data_option, instance_of, open_control, segue, settings_of


@segue.command()
@click.argument("destination")
@click.option("--from", "begin", default=None, metavar="TIME", help="ISO 8601, or how long ago: 2h. Default: all held.")
@click.option("--to", "end", default=None, metavar="TIME", help="The first instant no longer wanted. Default: now.")
@click.option("--type", "types", multiple=True, help="Only this call type; may be given several times.")
@click.option("--event", "events", multiple=True, help="Only track calls of this name; may be given several times.")
@click.option("--message-id", "message_ids", multiple=True, help="Only this event; may be given several times.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@click.option("--yes", is_flag=True, help="Do not ask.")
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
    as_json: bool,
    data: str | None,
) -> None:
    """Send a part of the log to a destination once more, beside the live events."""
    from segue.control.jobs import JobSpec, create_replay
    from segue.core.errors import Invalid
    from segue.wiring.clock import SystemClock
    from segue.wiring.moving import count_replay, instant
    from segue.wiring.views import open_views

    now = SystemClock().now_ms()
    spec = JobSpec(
        from_ms=0 if begin is None else instant(begin, now, "--from"),
        to_ms=now if end is None else instant(end, now, "--to"),
        types=types,
        events=events,
        message_ids=message_ids,
    )
    settings = settings_of(data)
    instance = instance_of(settings)
    with open_views(instance, SystemClock()) as views:
        counted = count_replay(views, destination, spec, settings)
        if as_json and dry_run:
            click.echo(json.dumps(counted))
        elif not as_json:
            click.echo(f"{counted['send']} of {counted['matched']} events would be sent to {destination}"
                       f" ({counted['filtered']} are filtered; {counted['read']} were read)")  # fmt: skip
        if dry_run or not counted["send"]:
            return
        if not yes and not (sys.stdin.isatty() and click.confirm("Send them?")):
            raise Invalid("nothing was sent; say --yes to send without being asked")
        instance.address()
        with open_control(instance) as store:
            job = create_replay(store, destination, spec)
        _follow(instance, views, job.id, counted["send"], as_json)


@segue.command()
@click.argument("destination")
@click.option("--reason", "reasons", multiple=True, help="Only dead letters of this code; may be given several times.")
@click.option("--message-id", "message_ids", multiple=True, help="Only this event; may be given several times.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@data_option
def redrive(
    destination: str, reasons: tuple[str, ...], message_ids: tuple[str, ...], as_json: bool, data: str | None
) -> None:
    """Send a destination's refused events again, once their cause is mended."""
    from segue.control.jobs import JobSpec, create_redrive
    from segue.wiring.clock import SystemClock
    from segue.wiring.views import open_views

    instance = instance_of(settings_of(data))
    instance.address()
    with open_control(instance) as store:
        job = create_redrive(store, destination, JobSpec(reasons=reasons, message_ids=message_ids))
    with open_views(instance, SystemClock()) as views:
        _follow(instance, views, job.id, 0, as_json)


@segue.command()
@click.argument("folder", type=click.Path(path_type=Path))
@data_option
def backup(folder: Path, data: str | None) -> None:
    """Copy the instance to a new FOLDER, also while it runs. The copy holds the key of the secrets: keep it safe."""
    from segue.wiring.clock import SystemClock
    from segue.wiring.copies import back_up
    from segue.wiring.views import open_views

    instance = instance_of(settings_of(data))
    with open_views(instance, SystemClock()) as views:
        end = back_up(views, folder)
    click.echo(f"copied to {folder}, up to offset {end}; `segue restore {folder} --data DIR` makes an instance of it")


@segue.command()
@click.argument("folder", type=click.Path(path_type=Path))
@data_option
def restore(folder: Path, data: str | None) -> None:
    """Make an instance of a backup FOLDER, in a data folder that holds none."""
    from segue.wiring.copies import bring_back

    instance = instance_of(settings_of(data))
    bring_back(folder, instance)
    click.echo(f"restored to {instance.folder}; start it with `segue up --data {instance.folder}`")


def _follow(instance: Any, views: Any, job: int, expected: int, as_json: bool) -> None:
    """Wake the server, then show the job's progress until it is done."""
    from segue.control.poke import poke
    from segue.wiring.moving import progress_of

    poke(instance.folder)
    states: Iterable[dict[str, Any]] = progress_of(views, job)
    last: dict[str, Any] = {}
    if not as_json and sys.stderr.isatty() and expected:
        with click.progressbar(length=expected, label="sending", file=sys.stderr) as bar:
            for last in states:
                bar.update(last["delivered"] + last["filtered"] + last["refused"] - bar.pos)
    else:
        last = deque(states, maxlen=1).pop()
    if as_json:
        click.echo(json.dumps(last | {"job": job}))
    elif expected:
        click.echo(f"{last['delivered']} delivered, {last['refused']} refused, {last['retrying']} wait for a retry")
    else:
        click.echo(f"{last['matched']} events are on their way again")
