"""Commands about what a space computes: `segue audiences` and `segue traits`.

Rule: they only read, from a running instance as from one that is stopped; what they show of a space is of one commit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from segue.cli.group import data_option, instance_of, segue, settings_of
from segue.cli.profiles import space_option

if TYPE_CHECKING:
    from segue.control.computed import Seen
    from segue.state.computations import ComputationKind
    from segue.state.control import Control
    from segue.state.profiles import ProfileReader
    from segue.state.spaces import SpaceRow

SHOWN = 20
"""How many members or values are printed for people, where they do not say."""

limit_option = click.option(
    "--limit", type=click.IntRange(1), default=None, help=f"At most so many. Default: {SHOWN}; all with --json."
)
at_option = click.option(
    "--at",
    default=None,
    metavar="TIME",
    help="At this instant, past or future: ISO 8601, or from now: +31d, -2h. Default: as computed.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class _Opened(NamedTuple):
    control: Control
    space: SpaceRow
    seen: Seen
    profiles: ProfileReader | None


@segue.group()
def audiences() -> None:
    """Look at audiences: who is in, and who was told."""


@segue.group()
def traits() -> None:
    """Look at computed traits: their values, and who was told."""


@audiences.command("list")
@space_option
@json_option
@data_option
def list_audiences(space: str | None, as_json: bool, data: str | None) -> None:
    """List the audiences of a space."""
    _list("audience", space, as_json, data)


@audiences.command("members")
@click.argument("key")
@at_option
@limit_option
@space_option
@json_option
@data_option
def list_members(
    key: str, at: str | None, limit: int | None, space: str | None, as_json: bool, data: str | None
) -> None:
    """Show who is in the audience KEY, with their ids and since when.

    With --at, who was in then by the events known now, worked out from the history. Traits and ids are those of
    now, and since when is not known. The same of an instant to come: as it would be with no further event.
    """
    _holders("audience", key, at, limit, space, as_json, data)


@audiences.command("status")
@click.argument("key", required=False)
@space_option
@json_option
@data_option
def audiences_status(key: str | None, space: str | None, as_json: bool, data: str | None) -> None:
    """Show how far each audience, or KEY alone, is computed, and how far its destinations are told."""
    _status("audience", key, space, as_json, data)


@traits.command("list")
@space_option
@json_option
@data_option
def list_traits(space: str | None, as_json: bool, data: str | None) -> None:
    """List the computed traits of a space."""
    _list("computed_trait", space, as_json, data)


@traits.command("values")
@click.argument("key")
@at_option
@limit_option
@space_option
@json_option
@data_option
def list_values(
    key: str, at: str | None, limit: int | None, space: str | None, as_json: bool, data: str | None
) -> None:
    """Show who has the computed trait KEY, with its value and since when it is that.

    With --at, who had it then by the events known now, worked out from the history. Traits and ids are those of
    now, and since when is not known. The same of an instant to come: as it would be with no further event.
    """
    _holders("computed_trait", key, at, limit, space, as_json, data)


@traits.command("status")
@click.argument("key", required=False)
@space_option
@json_option
@data_option
def traits_status(key: str | None, space: str | None, as_json: bool, data: str | None) -> None:
    """Show how far each computed trait, or KEY alone, is computed, and how far its destinations are told."""
    _status("computed_trait", key, space, as_json, data)


def _list(kind: ComputationKind, space: str | None, as_json: bool, data: str | None) -> None:
    from segue.control.computations import computations_of
    from segue.control.computed import listed
    from segue.wiring.computed_texts import list_lines

    with _opened(space, data) as opened:
        destinations = {row.id: row for row in opened.control.destinations}
        rows = computations_of(opened.control, opened.space.slug, kind)
        found = [listed(row, destinations, opened.seen) for row in rows]
    title = "MEMBERS" if kind == "audience" else "VALUES"
    click.echo(json.dumps(found) if as_json else "\n".join(list_lines(found, title)))


def _status(kind: ComputationKind, key: str | None, space: str | None, as_json: bool, data: str | None) -> None:
    from segue.control.computations import computations_of, find_computation
    from segue.control.computed import status_of
    from segue.wiring.computed_texts import status_lines

    with _opened(space, data) as opened:
        slug = opened.space.slug
        rows = (
            computations_of(opened.control, slug, kind)
            if key is None
            else [find_computation(opened.control, slug, kind, key)]
        )
        destinations = {row.id: row for row in opened.control.destinations}
        found = [status_of(row, opened.space.own_source, destinations, opened.seen) for row in rows]
    if as_json:
        click.echo(json.dumps(found if key is None else found[0]))
        return
    click.echo("\n".join(status_lines(found, "member" if kind == "audience" else "value")))


def _holders(
    kind: ComputationKind,
    key: str,
    at: str | None,
    limit: int | None,
    space: str | None,
    as_json: bool,
    data: str | None,
) -> None:
    from segue.cli.questions import holders_at
    from segue.control.computations import find_computation
    from segue.control.computed import computed_at, members, values
    from segue.core.errors import Invalid
    from segue.state.computed_rows import OFF

    if at is not None:
        holders_at(kind, key, at, limit, space, as_json, data)
        return
    with _opened(space, data) as (control, space_row, seen, profiles):
        row = find_computation(control, space_row.slug, kind, key)
        if seen.computed is None or profiles is None:
            raise Invalid(f"nothing is computed in {space_row.slug!r} yet: no server has run", field="--space")
        head: dict[str, Any] = {
            "key": key,
            "at": computed_at(seen.computed),
            "count": seen.computed.count(row.id, OFF[row.kind]),
        }
        of = members if kind == "audience" else values
        if as_json:
            print_holders_json(head, kind, of(row, seen.computed, profiles, limit))
        else:
            print_holders(head, kind, of(row, seen.computed, profiles, limit or SHOWN), limit or SHOWN)


def print_holders(head: dict[str, Any], kind: ComputationKind, entries: Iterator[dict[str, Any]], limit: int) -> None:
    """A line for each; how many there are first, and last how many are not shown."""
    from segue.control.units import counted
    from segue.wiring.computed_texts import holder_lines

    what = counted(head["count"], "member" if kind == "audience" else "value")
    click.echo(f"{head['key']}: {what} at {head['at'] or 'no instant yet'}")
    for line in holder_lines(entries):
        click.echo(line)
    if head["count"] > limit:
        click.echo(f"and {head['count'] - limit} more; --limit shows them")


def print_holders_json(head: dict[str, Any], kind: ComputationKind, entries: Iterator[dict[str, Any]]) -> None:
    """One JSON object, its last field a list that is never whole in memory."""
    import msgspec

    click.echo(json.dumps(head)[:-1] + f', "{"members" if kind == "audience" else "values"}": [', nl=False)
    for place, entry in enumerate(entries):
        click.echo(("," if place else "") + msgspec.json.encode(entry).decode(), nl=False)
    click.echo("]}")


@contextmanager
def _opened(slug: str | None, data: str | None) -> Iterator[_Opened]:
    """The files of the space, each as of one moment: first what is computed, the log's end last."""
    from segue.control.computed import Seen
    from segue.control.spaces import find_space
    from segue.log.sqlite_reader import SQLiteLogReader
    from segue.state.computed import ComputedReader
    from segue.state.control import ControlStore
    from segue.state.database import is_made
    from segue.state.deliveries import DeliveryReader
    from segue.state.profiles import ProfileReader
    from segue.wiring.clock import clock_of

    instance = instance_of(settings_of(data))
    instance.require()
    clock = clock_of(instance)
    with ExitStack() as stack:
        control = stack.enter_context(closing(ControlStore(instance.control, clock))).snapshot()
        space = find_space(control, slug)
        path = instance.profiles(space.id)
        computed, profiles, waiting = None, None, 0
        if is_made(path):
            computed = stack.enter_context(closing(ComputedReader(path)))
            stack.enter_context(computed.snapshot())
            waiting = computed.waiting()  # the first read says which commit the snapshot is of
            profiles = stack.enter_context(closing(ProfileReader(path)))
            stack.enter_context(profiles.snapshot())
        deliveries = {}
        if instance.state.exists():
            deliveries = stack.enter_context(closing(DeliveryReader(instance.state))).destinations()
        ends = stack.enter_context(closing(SQLiteLogReader(instance.log))).ends()
        yield _Opened(control, space, Seen(computed, waiting, deliveries, ends, clock.now_ms()), profiles)
