"""Commands about the profiles of a space: `profiles get`, `profiles events`, `profiles explain`, `profiles token`.

Rule: a profile is only read, from a running instance as from one that is stopped; a token is shown once, when it is
made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from segue.cli.group import data_option, instance_of, open_control, segue, settings_of

if TYPE_CHECKING:
    from segue.core.profile import Profile
    from segue.lake.manifest import ManifestReader
    from segue.log import LogReader
    from segue.state.profiles import ProfileReader
    from segue.wiring.instance import Instance


class _Files(NamedTuple):
    profiles: ProfileReader
    lake: ManifestReader | None
    log: LogReader


Command = TypeVar("Command", bound=Callable[..., Any])


def space_option(command: Command) -> Command:
    """`--space SLUG`: which space; it need not be said where there is one."""
    return click.option(
        "--space", default=None, metavar="SLUG", help="The space. Needed only where there are several."
    )(command)


@segue.group()
def profiles() -> None:
    """Look at profiles, and say what may read them."""


@profiles.command("get")
@click.argument("profile")
@space_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@data_option
def get_profile(profile: str, space: str | None, as_json: bool, data: str | None) -> None:
    """Show a profile: its ids, traits and links.

    PROFILE is an id with its type, as in user_id:u1, or a persistent id (use_..., grp_...).
    """
    import msgspec

    from segue.control.profiles import shown
    from segue.wiring.profile_texts import profile_lines

    with _found(profile, space, data) as (files, row):
        found = shown(files.profiles, row)
    click.echo(msgspec.json.encode(found) if as_json else "\n".join(profile_lines(found)))


@profiles.command("events")
@click.argument("profile")
@click.option("--event", "names", multiple=True, metavar="NAME", help="Only events of this name; may be repeated.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most so many.")
@click.option("--oldest-first", is_flag=True, help="Begin with the oldest event.")
@space_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@data_option
def list_events(
    profile: str,
    names: tuple[str, ...],
    limit: int,
    oldest_first: bool,
    space: str | None,
    as_json: bool,
    data: str | None,
) -> None:
    """Show what a user has done, the newest first.

    PROFILE is an id with its type, as in user_id:u1, or a persistent id (use_...). Page and screen calls are the events
    "Page Viewed" and "Screen Viewed".
    """
    import msgspec

    from segue.control.profile_events import numbers_of, profile_events, shown_event
    from segue.core.event import CALL_TYPES
    from segue.lake.reader import Wish
    from segue.wiring.profile_texts import event_lines

    with _found(profile, space, data) as (files, row):
        wish = Wish(
            profiles=numbers_of(row),
            types=CALL_TYPES,
            include=names or None,
            newest_first=not oldest_first,
            limit=limit + 1,
        )
        events = profile_events(files.profiles, files.lake, files.log, wish)
    found = {
        "profile": row.segment_id,
        "events": [shown_event(event) for event in events[:limit]],
        "more": len(events) > limit,
    }
    click.echo(msgspec.json.encode(found) if as_json else "\n".join(event_lines(found)))


@profiles.command("explain")
@click.argument("profile")
@space_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@data_option
def explain_profile(profile: str, space: str | None, as_json: bool, data: str | None) -> None:
    """Show which events made a profile what it is.

    Every id, link and merge with the event that caused it, and the ids that were kept off, with the reason.
    """
    import msgspec

    from segue.control.profiles import explained
    from segue.wiring.profile_texts import explained_lines

    with _found(profile, space, data) as (files, row):
        found = explained(files.profiles, row)
    click.echo(msgspec.json.encode(found) if as_json else "\n".join(explained_lines(found)))


@profiles.group()
def token() -> None:
    """Tokens of the Profile API."""


@token.command("create")
@click.argument("name", required=False)
@space_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@data_option
def create_token(name: str | None, space: str | None, as_json: bool, data: str | None) -> None:
    """Make a token that may read the profiles of a space.

    It is printed now and never again. NAME is what it is revoked by; token-1 and so on where none is given.
    """
    from segue.control import space_tokens
    from segue.control.poke import poke
    from segue.core.clock import iso

    instance = _existing(data)
    with open_control(instance) as store:
        text, row = space_tokens.create(store, space, name)
    poke(instance.folder)
    if as_json:
        click.echo(json.dumps({"name": row.name, "token": text, "created_at": iso(row.created_at)}))
        return
    click.echo(text)
    click.echo(f"keep it now, it is not shown again; its name is {row.name}", err=True)


@token.command("list")
@space_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@data_option
def list_tokens(space: str | None, as_json: bool, data: str | None) -> None:
    """List the tokens of a space by name, with their last four characters."""
    from segue.control.space_tokens import tokens_of
    from segue.control.spaces import find_space
    from segue.core.clock import iso
    from segue.wiring.texts import table

    with open_control(_existing(data)) as store:
        control = store.snapshot()
        rows = tokens_of(control, find_space(control, space).id)
    if as_json:
        shown = [{"name": row.name, "last_four": row.last_four, "created_at": iso(row.created_at)} for row in rows]
        click.echo(json.dumps(shown))
        return
    cells = [(row.name, f"...{row.last_four}", iso(row.created_at)) for row in rows]
    click.echo("\n".join(table(("NAME", "TOKEN", "CREATED"), cells)))


@token.command("revoke")
@click.argument("name")
@space_option
@data_option
def revoke_token(name: str, space: str | None, data: str | None) -> None:
    """Take a token back, by its NAME or by the token itself.

    A running server refuses it from then on.
    """
    from segue.control import space_tokens
    from segue.control.poke import poke

    instance = _existing(data)
    with open_control(instance) as store:
        row = space_tokens.revoke(store, space, name)
    poke(instance.folder)
    click.echo(f"the token {row.name} (...{row.last_four}) reads nothing any more")


def _existing(data: str | None) -> Instance:
    instance = instance_of(settings_of(data))
    instance.require()
    return instance


@contextmanager
def _found(name: str, space: str | None, data: str | None) -> Iterator[tuple[_Files, Profile]]:
    """The profile of this name and the files of its space, at one moment."""
    from segue.control.profiles import named_profile
    from segue.control.spaces import find_space
    from segue.core.errors import Invalid
    from segue.lake.manifest import ManifestReaders
    from segue.log.sqlite_reader import SQLiteLogReader
    from segue.state.database import is_made
    from segue.state.profiles import ProfileReader

    instance = _existing(data)
    with open_control(instance) as store:
        row = find_space(store.snapshot(), space)
    path = instance.profiles(row.id)
    if not is_made(path):
        raise Invalid(f"the space {row.slug!r} has no profiles yet: no server has resolved its events", field="--space")
    with (
        closing(SQLiteLogReader(instance.log)) as log,
        closing(ManifestReaders(instance.lake)) as lakes,
        closing(ProfileReader(path)) as reader,
        reader.snapshot(),
    ):
        found = named_profile(reader, name, row.identity)
        yield _Files(reader, lakes.get(row.id), log), found
